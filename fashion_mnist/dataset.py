"""What is known about Fashion-MNIST: classes, size of an image, files of the release."""

SIDE = 28  # pixels

# In label order.
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

# The same names as keys of metrics files, where a slash or a space would need quotes.
KEYS = tuple(name.lower().replace("-", "_").replace("/", "_").replace(" ", "_") for name in NAMES)

# Images and labels of each half of the release.
HALVES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "t10k": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
