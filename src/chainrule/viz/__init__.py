"""Pictures of what classifiers do. They need matplotlib: ``pip install "chainrule[plot]"``.

    figure = viz.templates(weights, classes)
    figure.savefig("templates.png")

Each function returns a figure of its own; one that fills a single panel draws into ``axes``, if it
is given them, and returns these. No window is opened and no global state is touched.
"""

from chainrule.viz.decision import decision_regions
from chainrule.viz.dimensions import Concentration, concentration, curse_of_dimensionality
from chainrule.viz.distances import distance_matrix
from chainrule.viz.figure import FORMATS, check_figure
from chainrule.viz.linear import templates, three_views
from chainrule.viz.selection import accuracy_curve
from chainrule.viz.shifts import Variant, equally_far, shifted_images

__all__ = [
    "FORMATS",
    "Concentration",
    "Variant",
    "accuracy_curve",
    "check_figure",
    "concentration",
    "curse_of_dimensionality",
    "decision_regions",
    "distance_matrix",
    "equally_far",
    "shifted_images",
    "templates",
    "three_views",
]
