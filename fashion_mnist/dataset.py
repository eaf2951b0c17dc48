"""What is known about the data: its ten classes, in label order, and the size of an image."""

SIDE = 28  # pixels

NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

# The same names as keys of metrics files, where a slash or a blank would need quoting.
KEYS = tuple(name.lower().replace("-", "_").replace("/", "_").replace(" ", "_") for name in NAMES)
