"""`python -m mlrsnet_hf COMMAND`, and so `accelerate launch -m mlrsnet_hf COMMAND`: the command `mlrsnet`."""

from mlrsnet_hf.cli import main

if __name__ == "__main__":
    main()
