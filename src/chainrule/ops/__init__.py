"""Differentiable operations: each a function with its vector-Jacobian products beside it.

Every function here takes NumPy arrays and returns arrays, or takes Tensors and returns a
Tensor that knows where it came from. See `chainrule.ops.op` for how an op is written.
"""

from chainrule.ops.activation import *
from chainrule.ops.arithmetic import *
from chainrule.ops.arrange import *
from chainrule.ops.attention import *
from chainrule.ops.conv import *
from chainrule.ops.conv_transpose import *
from chainrule.ops.decomposition import *
from chainrule.ops.deform import *
from chainrule.ops.distance import *
from chainrule.ops.dropout import *
from chainrule.ops.elementwise import *
from chainrule.ops.embedding import *
from chainrule.ops.error_function import *
from chainrule.ops.group_norm import *
from chainrule.ops.indexing import *
from chainrule.ops.joining import *
from chainrule.ops.linalg import *
from chainrule.ops.logic import *
from chainrule.ops.loss_binary import *
from chainrule.ops.loss_classification import *
from chainrule.ops.loss_embedding import *
from chainrule.ops.loss_margin import *
from chainrule.ops.loss_regression import *
from chainrule.ops.matrix_exp import *
from chainrule.ops.norm import *
from chainrule.ops.op import *
from chainrule.ops.order import *
from chainrule.ops.padding import *
from chainrule.ops.pool import *
from chainrule.ops.pool_adaptive import *
from chainrule.ops.products import *
from chainrule.ops.reduction import *
from chainrule.ops.regularization import *
from chainrule.ops.response_norm import *
from chainrule.ops.sampling import *
from chainrule.ops.scatter import *
from chainrule.ops.shape import *
from chainrule.ops.special import *
from chainrule.ops.statistics import *
from chainrule.ops.unfold import *
from chainrule.ops.unpool import *
from chainrule.ops.upsample import *
from chainrule.ops.weight_norm import *
