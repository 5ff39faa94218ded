"""carferry: from a Hugging Face model to a ModelCar image that KServe serves."""

__version__ = "0.1.0"
