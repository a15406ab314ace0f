"""Features of images, as scikit-learn's transformers: X (n, C·H·W) -> (n, F)."""

from chainrule.classifiers.features.color import ColorHistogram
from chainrule.classifiers.features.filters import EdgeFeatures, TextureFeatures
from chainrule.classifiers.features.hog import HOG
from chainrule.classifiers.features.network import FeatureExtractor
from chainrule.classifiers.features.pca import PCA
from chainrule.classifiers.features.random_features import RandomFeatures
from chainrule.classifiers.features.words import BagOfVisualWords

__all__ = [
    "HOG",
    "PCA",
    "BagOfVisualWords",
    "ColorHistogram",
    "EdgeFeatures",
    "FeatureExtractor",
    "RandomFeatures",
    "TextureFeatures",
]
