.PHONY: demo test quality style bench

demo:  ## the main job on synthetic scenes
	mlrsnet demo

test:
	pytest

quality:  ## what CI checks beside the tests
	ruff format --check .
	ruff check .
	mypy

style:
	ruff format .
	ruff check --fix .

bench:  ## speed against named peers; prints ratios
	for file in tests/benchmarks/bench_*.py; do python $$file || exit 1; done
