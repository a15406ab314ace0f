"""Command-line tests work in a folder of their own, on pictures made for them."""

from tests.training.pictures import divided_images, images, own_folder

__all__ = ["divided_images", "images", "own_folder"]
