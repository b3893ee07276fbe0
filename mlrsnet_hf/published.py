"""Published counts of MLRSNet: how many images each label, each scene and each scene-label pair has.

Facts of the release, transcribed:

* `TABLE1_IMAGES_PER_LABEL`: Qi et al. (2020), Table 1, with the published spelling of the labels. The label files
  reproduce 59 of the 60 counts; they give 49,390 images with grass where the paper prints 49,391.
* `IMAGES_PER_SCENE`: rows per label file of the release (Fig. 1 of the paper), by published folder name.
* `LABELS_PER_SCENE`: for each scene, how many of its images carry each label, counted from the label files as first
  published (github.com/cugbrs/MLRSNet at cd5ca1c, 2020-06-30).
* `ALLOWED_WITHOUT_IMAGES`: labels that the release's own list of each scene's labels (Categories_names.xlsx, sheet
  "tags") allows though no image carries them. The list lacks three pairs that do occur (airplane with runway,
  baseball_diamond with parking lot, transmission_tower with trail); else it is the keys of `LABELS_PER_SCENE` with
  these.
* `MOST_LABELS`: labels of one image, by the paper (section 2.2) and in the release.
"""

IMAGERY = "MLRSNet's images come from Google Earth; CC BY 4.0 is the license of the release."
"""Stands beside its pictures wherever they are shown: Qi et al. (2020), section 2.1, and the release's own page."""
TOTAL_IMAGES = 109_161
IMAGE_SIZE = (256, 256)
"""Width and height of the images, in pixels; copies in circulation hold a few others."""

_TABLE1 = """
airplane 2306, airport 2480, bare soil 39345, baseball diamond 1996, basketball court 3726, beach 2485, bridge 2772,
buildings 51305, cars 34013, chaparral 5903, cloud 1798, containers 2500, crosswalk 2673,
dense residential area 2774, desert 2537, dock 2492, factory 2667, field 15142, football field 1057, forest 3562,
freeway 2500, golf course 2515, grass 49391, greenhouse 2601, gully 2413, habor 2492, intersection 2497, island 2493,
lake 2499, mobile home 2499, mountain 5468, overpass 2652, park 1682, parking lot 7061, parkway 2537, pavement 56383,
railway 4399, railway station 2187, river 2493, road 37783, roundabout 2039, runway 2259, sand 11014, sea 4980,
ships 4092, snow 3565, snowberg 2555, sparse residential area 1829, stadium 2462, swimming pool 5078, tanks 2500,
tennis court 2499, terrace 2345, track 3693, trail 12376, transmission tower 2500, trees 70728, water 27834,
wetland 3417, wind turbine 2049
"""

_IMAGES_PER_SCENE = """
airplane 1762, airport 2189, bareland 1500, baseball_diamond 2002, basketball_court 2895, beach 2500, bridge 2500,
chaparral 2500, cloud 1798, commercial_area 2500, dense_residential_area 2783, desert 2539, eroded_farmland 2500,
farmland 2501, forest 2501, freeway 2500, golf_course 2515, ground_track_field 2500, harbor&port 2505,
industrial_area 2110, intersection 2498, island 2499, lake 2500, meadow 2502, mobile_home_park 2500, mountain 2500,
overpass 2500, park 1682, parking_lot 2502, parkway 2537, railway 2500, railway_station 2187, river 2500,
roundabout 2040, shipping_yard 2500, snowberg 2555, sparse_residential_area 1829, stadium 2462, storage_tank 2500,
swimmimg_pool 2005, tennis_court 2500, terrace 2500, transmission_tower 2500, vegetable_greenhouse 2601,
wetland 2612, wind_turbine 2050
"""

_LABELS_PER_SCENE = """
airplane: airplane 1762, airport 729, bare soil 91, buildings 560, cars 268, grass 207, pavement 1762, runway 80,
    trees 59
airport: airplane 544, airport 1751, bare soil 1708, buildings 1939, field 654, grass 1774, pavement 2189,
    runway 2179, trees 1108, water 397
bareland: bare soil 1493, buildings 132, cars 42, grass 135, pavement 54, road 97, trees 56
baseball_diamond: bare soil 1965, baseball diamond 1996, buildings 1331, cars 386, grass 1998, parking lot 400,
    road 1536, trees 1680
basketball_court: bare soil 291, basketball court 2895, buildings 1454, cars 638, grass 790, pavement 1081,
    road 1278, trees 2008
beach: beach 2485, buildings 312, sand 2497, sea 2499, ships 364, trees 1525, water 2500
bridge: bare soil 2014, bridge 2500, buildings 1176, cars 1984, grass 2024, pavement 2498, road 2499, ships 587,
    trees 2392, water 2491
chaparral: chaparral 2500, sand 2385
cloud: bare soil 496, buildings 264, cloud 1798, field 182, trees 782, water 492
commercial_area: buildings 2500, cars 2204, grass 473, parking lot 747, pavement 2494, road 1775, trees 1831,
    water 96
dense_residential_area: buildings 2783, cars 2749, dense residential area 2774, grass 2670, pavement 2782, road 2781,
    swimming pool 1187, trees 2665, water 1255
desert: chaparral 1964, desert 2537, sand 2539, water 133
eroded_farmland: field 1542, gully 2413, trail 954, trees 964
farmland: buildings 96, field 2501, trail 1821, trees 2392
forest: bare soil 491, buildings 172, forest 2501, trail 516, trees 2501
freeway: bare soil 1022, buildings 331, cars 2100, field 324, forest 555, freeway 2500, grass 1293, pavement 2500,
    road 2500, trees 2086
golf_course: bare soil 2441, buildings 802, golf course 2515, grass 2515, pavement 456, road 456, swimming pool 55,
    trail 2146, trees 2515, water 1160
ground_track_field: bare soil 1727, basketball court 831, buildings 2361, football field 860, grass 2098,
    pavement 2500, road 2321, swimming pool 15, track 2493, trees 2448, water 84
harbor&port: bare soil 1300, buildings 1906, cars 1324, dock 2492, grass 1835, habor 2492, parking lot 639,
    pavement 2490, road 2413, ships 2410, swimming pool 123, water 2505
industrial_area: bare soil 730, buildings 2107, cars 1253, factory 1978, grass 1146, pavement 2110, trees 1452
intersection: bare soil 991, buildings 2051, cars 2490, crosswalk 2361, factory 233, grass 2389, intersection 2497,
    pavement 2498, road 2498, trees 2392
island: bare soil 544, grass 2321, island 2493, sea 2481, ships 648, trees 2052, water 2487
lake: bare soil 1998, field 246, grass 1557, lake 2499, mountain 416, sand 32, trees 338, water 2500, wetland 805
meadow: bare soil 959, buildings 1260, cars 339, grass 2502, pavement 766, road 532, swimming pool 34, trail 855,
    trees 1976, water 149
mobile_home_park: bare soil 1321, buildings 2499, cars 2488, mobile home 2499, pavement 2479, swimming pool 70,
    trees 2486, water 149
mountain: grass 2184, mountain 2497, snow 1010, trees 2281
overpass: bare soil 1600, buildings 1837, cars 2198, factory 456, field 552, grass 1483, overpass 2500,
    parking lot 495, pavement 2500, road 2500, trees 1972
park: bare soil 664, buildings 1590, cars 911, grass 959, park 1682, pavement 986, road 811, swimming pool 116,
    track 57, trail 1562, trees 1627, water 1131
parking_lot: bare soil 1288, buildings 1237, cars 2502, grass 1553, parking lot 2492, pavement 2426, road 1052,
    trees 2136
parkway: bare soil 769, buildings 1911, cars 2098, parkway 2537, pavement 2435, road 1869, trees 2535
railway: bare soil 864, buildings 1177, cars 863, field 453, grass 1002, pavement 1497, railway 2495, road 746,
    trees 1436, water 100
railway_station: bare soil 1008, buildings 2187, cars 750, grass 379, parking lot 567, pavement 2187, railway 1904,
    railway station 2187, road 343, trees 1535
river: bare soil 2319, bridge 272, buildings 1139, field 2500, grass 2363, river 2493, sand 2500, trees 2499,
    water 2494
roundabout: bare soil 338, buildings 1670, cars 1488, crosswalk 312, grass 1097, overpass 152, pavement 2040,
    road 2040, roundabout 2039, trees 1296
shipping_yard: cars 271, containers 2500, pavement 2498, road 153, trees 54, water 17
snowberg: grass 246, mountain 2555, snow 2555, snowberg 2555, trees 9, water 974
sparse_residential_area: bare soil 373, buildings 1829, chaparral 1064, field 147, grass 686, pavement 1332,
    road 1181, sand 1061, sparse residential area 1829, swimming pool 891, trees 1759, water 904
stadium: bare soil 1606, buildings 2461, cars 2309, football field 197, grass 2187, parking lot 1046, pavement 2460,
    road 1916, stadium 2462, swimming pool 152, track 1143, trees 2377, water 385
storage_tank: bare soil 1538, buildings 2500, cars 1000, grass 1451, pavement 2491, road 2130, ships 83, tanks 2500,
    trees 2350, water 440
swimmimg_pool: bare soil 187, buildings 1742, grass 1438, pavement 1376, swimming pool 2005, trees 1822, water 2005
tennis_court: bare soil 667, buildings 1836, cars 1276, grass 1696, parking lot 675, pavement 2500, road 846,
    swimming pool 430, tennis court 2499, trees 2271, water 519
terrace: buildings 332, field 2448, pavement 60, road 48, terrace 2345, trail 678, trees 2274, water 242
transmission_tower: bare soil 929, buildings 122, cars 82, field 444, forest 506, grass 1616, pavement 276, road 221,
    trail 485, transmission tower 2500, trees 1761
vegetable_greenhouse: bare soil 1499, buildings 571, field 2601, greenhouse 2601, pavement 660, road 658, trail 1875,
    trees 535, water 302
wetland: bare soil 390, grass 712, trail 215, trees 200, water 1883, wetland 2612
wind_turbine: bare soil 1724, buildings 1128, chaparral 375, field 548, grass 611, road 583, trail 1269, trees 291,
    water 40, wind turbine 2049
"""


def _parse_counts(text: str) -> dict[str, int]:
    """Read "name count, name count, ..."; names may hold spaces."""
    pairs = (entry.strip().rpartition(" ") for entry in text.split(","))
    return {name: int(count) for name, _, count in pairs}


def _parse_scenes(text: str) -> dict[str, dict[str, int]]:
    """Read one "scene: name count, ..." per scene; indented lines continue the scene above."""
    lines = text.strip().replace("\n    ", " ").splitlines()
    return {scene: _parse_counts(counts) for scene, _, counts in (line.partition(":") for line in lines)}


TABLE1_IMAGES_PER_LABEL = _parse_counts(_TABLE1)
IMAGES_PER_SCENE = _parse_counts(_IMAGES_PER_SCENE)
LABELS_PER_SCENE = _parse_scenes(_LABELS_PER_SCENE)
ALLOWED_WITHOUT_IMAGES = {"airplane": ("parking lot",), "baseball_diamond": ("pavement",)}
MOST_LABELS = 13
