"""The classic classifiers and features, as scikit-learn's estimators and transformers.

X = classifiers.image_rows(splits.train)                  # (n, C·H·W) bytes
model = make_pipeline(classifiers.HOG(), StandardScaler(), LinearSVC())
model.fit(X, splits.train.labels)

They need scikit-learn: ``pip install "chainrule[classic]"``.
"""

from importlib.util import find_spec

from chainrule.errors import MissingExtraError

if find_spec("sklearn") is None:
    raise MissingExtraError(
        'chainrule.classifiers needs scikit-learn; pip install "chainrule[classic]"'
    )

from chainrule.classifiers.features import (
    HOG,
    PCA,
    BagOfVisualWords,
    ColorHistogram,
    EdgeFeatures,
    FeatureExtractor,
    RandomFeatures,
    TextureFeatures,
)
from chainrule.classifiers.images import find_image_shape, image_rows
from chainrule.classifiers.linear import LinearSVM, SoftmaxClassifier
from chainrule.classifiers.neighbours import KNearestNeighbors
from chainrule.classifiers.two_layer import TwoLayerNet

__all__ = [
    "HOG",
    "PCA",
    "BagOfVisualWords",
    "ColorHistogram",
    "EdgeFeatures",
    "FeatureExtractor",
    "KNearestNeighbors",
    "LinearSVM",
    "RandomFeatures",
    "SoftmaxClassifier",
    "TextureFeatures",
    "TwoLayerNet",
    "find_image_shape",
    "image_rows",
]
