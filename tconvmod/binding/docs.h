/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TC_DOCS_H
#define TC_DOCS_H

/* The docstrings of the compiled functions (numpydoc). The first line up to "--" is the signature
 * that Python's inspect reads. Text that the three ranks share is written once. */

#define OPTIONS_SIGNATURE                                                                          \
    "($module, /, input, weight, bias=None, stride=1, padding=0,\n"                                \
    "output_padding=0, groups=1, dilation=1, *, output_size=None,\n"                               \
    "layout=None, padding_mode='zeros',\n"                                                         \
    "activation=None, out=None, accumulate=False, out_dtype=None,\n"                               \
    "threads=None)\n--\n\n"

#define LAYOUT_PARAMETER                                                                           \
    "layout : str, optional\n"                                                                     \
    "    The order of the axes, such as \"NHWC\" (\"HWC\" for a single image, \"NLC\",\n"          \
    "    \"NDHWC\"), or \"NHWC->NCHW\" where the output's order differs. Channels come\n"          \
    "    first if it is not given; a weight's axes are the same in all layouts.\n"

#define MODE_PARAMETER                                                                             \
    "padding_mode : str\n"                                                                         \
    "    What stands in the padding of the input: \"zeros\", \"reflect\" (the input\n"             \
    "    mirrored at its ends), \"replicate\" (its ends repeated) or \"circular\" (its\n"          \
    "    other end).\n"

#define TRANSPOSED_MODE_PARAMETER                                                                  \
    "padding_mode : str\n"                                                                         \
    "    \"zeros\"; or \"circular\": what `padding` crops at one end is added at the\n"            \
    "    other one, as the gradient of a circular convolution is.\n"

#define ACTIVATION_PARAMETER                                                                       \
    "activation : str or tuple, optional\n"                                                        \
    "    What is done to each output after its sum: \"relu\", \"tanh\", \"sigmoid\" or\n"          \
    "    (\"leaky_relu\", slope), whose slope is 0.01 if only the name is given. With\n"           \
    "    `accumulate` it is done to what `out` has in the end.\n"

#define OUT_PARAMETERS                                                                             \
    "out : ndarray, optional\n"                                                                    \
    "    Where to put the result: an array of its shape and dtype, of any strides.\n"              \
    "    It may overlap the inputs.\n"                                                             \
    "accumulate : bool\n"                                                                          \
    "    Add to what is in `out` instead of replacing it.\n"                                       \
    "out_dtype : dtype, optional\n"                                                                \
    "    The result's dtype: any integer for integers (int8 arrays may give an\n"                  \
    "    int32 one), float32 for half precision; that of the arrays if not given.\n"               \
    "threads : int, optional\n"                                                                    \
    "    How many threads to use at most; see `tconv.set_num_threads`.\n"                          \
    "\n"                                                                                           \
    "Returns\n"                                                                                    \
    "-------\n"                                                                                    \
    "ndarray\n"

#define DTYPES_NOTE                                                                                \
    "All arrays have\n"                                                                            \
    "one dtype: float32 or float64, which are fastest; float16 or bfloat16 (of\n"                  \
    "ml_dtypes), computed in float32 and rounded once; a complex one; or an integer,\n"            \
    "exact and wrapping around as NumPy's do. "

#define RAISES                                                                                     \
    "Raises\n"                                                                                     \
    "------\n"                                                                                     \
    "TypeError\n"                                                                                  \
    "    For arguments of the wrong type, unsupported dtypes, and dtypes that differ.\n"           \
    "ValueError\n"                                                                                 \
    "    For values and shapes that do not fit together.\n"                                        \
    "OverflowError, MemoryError\n"                                                                 \
    "    For integers past 64 bits, and where memory runs out.\n"                                  \
    "\n"

#define TRANSPOSE_PARAMETERS                                                                       \
    "bias : array_like, optional\n"                                                                \
    "    (Co,), added to every output of its channel.\n"                                           \
    "stride, padding, output_padding, dilation : int or sequence of int\n"                         \
    "    One value, or one for each spatial axis. `padding` crops the output by\n"                 \
    "    so many elements on both sides; `output_padding` adds some on the far\n"                  \
    "    side, fewer than max(stride, dilation). `padding` may also be a pair\n"                   \
    "    (before, after) for each axis, where negative numbers extend the output\n"                \
    "    (by the bias alone); \"valid\", which is 0; or \"same\", which\n"                         \
    "    leaves in*stride outputs and crops one more at the end than at the\n"                     \
    "    beginning if need be (\"same_lower\": at the beginning).\n"                               \
    "groups : int\n"                                                                               \
    "    Input and output channels are split into so many groups that do not\n"                    \
    "    mix.\n"                                                                                   \
    "output_size : int, sequence of int, or array, optional\n"                                     \
    "    The spatial size wanted, or an array that has it; picks\n"                                \
    "    `output_padding`.\n" LAYOUT_PARAMETER TRANSPOSED_MODE_PARAMETER ACTIVATION_PARAMETER      \
        OUT_PARAMETERS

#define TRANSPOSE_NOTES                                                                            \
    "    where each spatial length is\n"                                                           \
    "    (in - 1)*stride - 2*padding + dilation*(kernel - 1) + output_padding + 1.\n"              \
    "\n" RAISES "Notes\n"                                                                          \
    "-----\n"                                                                                      \
    "The operation is the transpose, as a matrix, of a convolution with the same\n"                \
    "parameters, hence the gradient of that convolution with respect to its input\n"               \
    "(V. Dumoulin, F. Visin, A guide to convolution arithmetic for deep learning,\n"               \
    "arXiv:1603.07285). Arrays may have any strides and are not copied, nor are\n"                 \
    "torch's tensors and those of other libraries on the CPU. " DTYPES_NOTE                        \
    "The result has the same bits for any number of threads and for any\n"                         \
    "batch that a sample is in.\n"                                                                 \
    "\n"                                                                                           \
    "Examples\n"                                                                                   \
    "--------\n"

#define CONV_SIGNATURE                                                                             \
    "($module, /, input, weight, bias=None, stride=1, padding=0, dilation=1,\n"                    \
    "groups=1, *, layout=None, padding_mode='zeros',\n"                                            \
    "activation=None, out=None, accumulate=False, out_dtype=None,\n"                               \
    "threads=None)\n--\n\n"

#define CONV_PARAMETERS                                                                            \
    "bias : array_like, optional\n"                                                                \
    "    (Co,), added to every output of its channel.\n"                                           \
    "stride, padding, dilation : int or sequence of int\n"                                         \
    "    One value, or one for each spatial axis. `padding` stands for so many zeros\n"            \
    "    on both sides of the input. It may also be a pair (before, after) for each\n"             \
    "    axis, where negative numbers crop the input; \"valid\", which is 0; or\n"                 \
    "    \"same\", which gives ceil(in/stride)\n"                                                  \
    "    outputs, with one more zero at the end than at the beginning if need be\n"                \
    "    (\"same_lower\": at the beginning).\n"                                                    \
    "groups : int\n"                                                                               \
    "    Input and output channels are split into so many groups that do not\n"                    \
    "    mix.\n" LAYOUT_PARAMETER MODE_PARAMETER ACTIVATION_PARAMETER OUT_PARAMETERS

#define CONV_NOTES                                                                                 \
    "    where each spatial length is\n"                                                           \
    "    floor((in + 2*padding - dilation*(kernel - 1) - 1)/stride) + 1.\n"                        \
    "\n" RAISES "Notes\n"                                                                          \
    "-----\n"                                                                                      \
    "The kernel is not flipped: this is a correlation, as in all deep learning\n"                  \
    "frameworks (V. Dumoulin, F. Visin, A guide to convolution arithmetic for deep\n"              \
    "learning, arXiv:1603.07285). Arrays may have any strides and are not copied, nor\n"           \
    "are torch's tensors and those of other libraries on the CPU. " DTYPES_NOTE                    \
    "The result has the same bits for any number of threads and for\n"                             \
    "any batch that a sample is in.\n"                                                             \
    "\n"                                                                                           \
    "Examples\n"                                                                                   \
    "--------\n"

#define conv_transpose1d_doc                                                                       \
    "conv_transpose1d" OPTIONS_SIGNATURE "Transposed convolution of signals.\n"                    \
    "\n"                                                                                           \
    "Each input sample adds a copy of the kernel, times its value, to the output,\n"               \
    "`stride` apart.\n"                                                                            \
    "\n"                                                                                           \
    "Parameters\n"                                                                                 \
    "----------\n"                                                                                 \
    "input : array_like\n"                                                                         \
    "    (N, Ci, L), or (Ci, L) for a single signal.\n"                                            \
    "weight : array_like\n"                                                                        \
    "    (Ci, Co/groups, K).\n" TRANSPOSE_PARAMETERS                                               \
    "    (N, Co, L'), or (Co, L') for a single signal,\n" TRANSPOSE_NOTES                          \
    ">>> import numpy as np, tconv\n"                                                              \
    ">>> x = np.array([[1, 2, 3]], np.float32)\n"                                                  \
    ">>> w = np.array([[[1, 10]]], np.float32)\n"                                                  \
    ">>> tconv.conv_transpose1d(x, w)\n"                                                           \
    "array([[ 1., 12., 23., 30.]], dtype=float32)\n"                                               \
    ">>> tconv.conv_transpose1d(x, w, stride=2)\n"                                                 \
    "array([[ 1., 10.,  2., 20.,  3., 30.]], dtype=float32)\n"

#define conv_transpose2d_doc                                                                       \
    "conv_transpose2d" OPTIONS_SIGNATURE "Transposed convolution of images.\n"                     \
    "\n"                                                                                           \
    "Each input pixel adds a copy of the kernel, times its value, to the output,\n"                \
    "`stride` apart.\n"                                                                            \
    "\n"                                                                                           \
    "Parameters\n"                                                                                 \
    "----------\n"                                                                                 \
    "input : array_like\n"                                                                         \
    "    (N, Ci, H, W), or (Ci, H, W) for a single image.\n"                                       \
    "weight : array_like\n"                                                                        \
    "    (Ci, Co/groups, kH, kW).\n" TRANSPOSE_PARAMETERS                                          \
    "    (N, Co, H', W'), or (Co, H', W') for a single image,\n" TRANSPOSE_NOTES                   \
    ">>> import numpy as np, tconv\n"                                                              \
    ">>> x = np.array([[[0, 1], [2, 3]]], np.float32)\n"                                           \
    ">>> tconv.conv_transpose2d(x, x[None], stride=2)\n"                                           \
    "array([[[0., 0., 0., 1.],\n"                                                                  \
    "        [0., 0., 2., 3.],\n"                                                                  \
    "        [0., 2., 0., 3.],\n"                                                                  \
    "        [4., 6., 6., 9.]]], dtype=float32)\n"

#define conv_transpose3d_doc                                                                       \
    "conv_transpose3d" OPTIONS_SIGNATURE "Transposed convolution of volumes.\n"                    \
    "\n"                                                                                           \
    "Each input voxel adds a copy of the kernel, times its value, to the output,\n"                \
    "`stride` apart.\n"                                                                            \
    "\n"                                                                                           \
    "Parameters\n"                                                                                 \
    "----------\n"                                                                                 \
    "input : array_like\n"                                                                         \
    "    (N, Ci, D, H, W), or (Ci, D, H, W) for a single volume.\n"                                \
    "weight : array_like\n"                                                                        \
    "    (Ci, Co/groups, kD, kH, kW).\n" TRANSPOSE_PARAMETERS                                      \
    "    (N, Co, D', H', W'), or (Co, D', H', W') for a single volume,\n" TRANSPOSE_NOTES          \
    ">>> import numpy as np, tconv\n"                                                              \
    ">>> x, w = np.ones((1, 1, 2, 2, 2)), np.ones((1, 1, 2, 2, 2))\n"                              \
    ">>> tconv.conv_transpose3d(x, w)[0, 0, 1]  # the middle, where all overlap\n"                 \
    "array([[2., 4., 2.],\n"                                                                       \
    "       [4., 8., 4.],\n"                                                                       \
    "       [2., 4., 2.]])\n"

#define conv1d_doc                                                                                 \
    "conv1d" CONV_SIGNATURE "Convolution of signals.\n"                                            \
    "\n"                                                                                           \
    "Each output sample is the sum of the inputs under the kernel times its elements;\n"           \
    "from one output to the next the kernel moves on by `stride`.\n"                               \
    "\n"                                                                                           \
    "Parameters\n"                                                                                 \
    "----------\n"                                                                                 \
    "input : array_like\n"                                                                         \
    "    (N, Ci, L), or (Ci, L) for a single signal.\n"                                            \
    "weight : array_like\n"                                                                        \
    "    (Co, Ci/groups, K).\n" CONV_PARAMETERS                                                    \
    "    (N, Co, L'), or (Co, L') for a single signal,\n" CONV_NOTES                               \
    ">>> import numpy as np, tconv\n"                                                              \
    ">>> x = np.array([[1, 2, 3, 4]], np.float32)\n"                                               \
    ">>> w = np.array([[[1, 10]]], np.float32)\n"                                                  \
    ">>> tconv.conv1d(x, w)\n"                                                                     \
    "array([[21., 32., 43.]], dtype=float32)\n"                                                    \
    ">>> tconv.conv1d(x, w, stride=2)\n"                                                           \
    "array([[21., 43.]], dtype=float32)\n"

#define conv2d_doc                                                                                 \
    "conv2d" CONV_SIGNATURE "Convolution of images.\n"                                             \
    "\n"                                                                                           \
    "Each output pixel is the sum of the inputs under the kernel times its elements;\n"            \
    "from one output to the next the kernel moves on by `stride`.\n"                               \
    "\n"                                                                                           \
    "Parameters\n"                                                                                 \
    "----------\n"                                                                                 \
    "input : array_like\n"                                                                         \
    "    (N, Ci, H, W), or (Ci, H, W) for a single image.\n"                                       \
    "weight : array_like\n"                                                                        \
    "    (Co, Ci/groups, kH, kW).\n" CONV_PARAMETERS                                               \
    "    (N, Co, H', W'), or (Co, H', W') for a single image,\n" CONV_NOTES                        \
    ">>> import numpy as np, tconv\n"                                                              \
    ">>> x = np.arange(9, dtype=np.float32).reshape(1, 3, 3)\n"                                    \
    ">>> w = np.ones((1, 1, 2, 2), np.float32)\n"                                                  \
    ">>> tconv.conv2d(x, w)\n"                                                                     \
    "array([[[ 8., 12.],\n"                                                                        \
    "        [20., 24.]]], dtype=float32)\n"

#define conv3d_doc                                                                                 \
    "conv3d" CONV_SIGNATURE "Convolution of volumes.\n"                                            \
    "\n"                                                                                           \
    "Each output voxel is the sum of the inputs under the kernel times its elements;\n"            \
    "from one output to the next the kernel moves on by `stride`.\n"                               \
    "\n"                                                                                           \
    "Parameters\n"                                                                                 \
    "----------\n"                                                                                 \
    "input : array_like\n"                                                                         \
    "    (N, Ci, D, H, W), or (Ci, D, H, W) for a single volume.\n"                                \
    "weight : array_like\n"                                                                        \
    "    (Co, Ci/groups, kD, kH, kW).\n" CONV_PARAMETERS                                           \
    "    (N, Co, D', H', W'), or (Co, D', H', W') for a single volume,\n" CONV_NOTES               \
    ">>> import numpy as np, tconv\n"                                                              \
    ">>> x, w = np.ones((1, 1, 3, 3, 3)), np.ones((1, 1, 3, 3, 3))\n"                              \
    ">>> tconv.conv3d(x, w, padding=1)[0, 0, 1]  # the middle, where most taps meet inputs\n"      \
    "array([[12., 18., 12.],\n"                                                                    \
    "       [18., 27., 18.],\n"                                                                    \
    "       [12., 18., 12.]])\n"

#define CONV_GRADIENT_PARAMETERS                                                                   \
    "stride, padding, dilation, groups\n"                                                          \
    "    As in the forward call.\n" LAYOUT_PARAMETER MODE_PARAMETER OUT_PARAMETERS

#define TRANSPOSE_GRADIENT_PARAMETERS                                                              \
    "stride, padding, output_padding, groups, dilation\n"                                          \
    "    As in the forward call; `output_padding` is what its output has, also if\n"               \
    "    `output_size` picked it.\n" LAYOUT_PARAMETER TRANSPOSED_MODE_PARAMETER OUT_PARAMETERS

#define INPUT_GRADIENT_NOTES                                                                       \
    "    The shape of the forward call's input.\n"                                                 \
    "\n" RAISES "Notes\n"                                                                          \
    "-----\n"

#define WEIGHT_GRADIENT_NOTES                                                                      \
    "    Of shape `weight_size`, summed over the batch; zeros if that is empty.\n"                 \
    "\n" RAISES "Notes\n"                                                                          \
    "-----\n"                                                                                      \
    "A kernel element's gradient is the sum, over the batch and all positions, of the\n"           \
    "products of the inputs and output gradients that it brought together. The result\n"           \
    "has the same bits for any number of threads.\n"                                               \
    "\n"                                                                                           \
    "Examples\n"                                                                                   \
    "--------\n"

#define conv1d_input_doc                                                                           \
    "conv1d_input($module, /, input_size, weight, grad_output, stride=1, padding=0,\n"             \
    "dilation=1, groups=1, *, layout=None, padding_mode='zeros',\n"                                \
    "out=None, accumulate=False, out_dtype=None,\n"                                                \
    "threads=None)\n--\n\n"                                                                        \
    "Gradient of conv1d with respect to its input.\n"                                              \
    "\n"                                                                                           \
    "Parameters\n"                                                                                 \
    "----------\n"                                                                                 \
    "input_size : tuple of int\n"                                                                  \
    "    The shape of the forward call's input, (N, Ci, L) or (Ci, L).\n"                          \
    "weight : array_like\n"                                                                        \
    "    (Co, Ci/groups, K).\n"                                                                    \
    "grad_output : array_like\n"                                                                   \
    "    The gradient with respect to the output, of its "                                         \
    "shape.\n" CONV_GRADIENT_PARAMETERS INPUT_GRADIENT_NOTES                                       \
    "It is the transposed convolution of `grad_output` with the same weight and parameters.\n"     \
    "\n"                                                                                           \
    "Examples\n"                                                                                   \
    "--------\n"                                                                                   \
    ">>> import numpy as np, tconv\n"                                                              \
    ">>> g, w = np.ones((1, 1, 3)), np.array([[[1.0, 10.0]]])\n"                                   \
    ">>> tconv.grad.conv1d_input((1, 1, 4), w, g)\n"                                               \
    "array([[[ 1., 11., 11., 10.]]])\n"

#define conv1d_weight_doc                                                                          \
    "conv1d_weight($module, /, input, weight_size, grad_output, stride=1, padding=0,\n"            \
    "dilation=1, groups=1, *, layout=None, padding_mode='zeros',\n"                                \
    "out=None, accumulate=False, out_dtype=None,\n"                                                \
    "threads=None)\n--\n\n"                                                                        \
    "Gradient of conv1d with respect to its weight.\n"                                             \
    "\n"                                                                                           \
    "Parameters\n"                                                                                 \
    "----------\n"                                                                                 \
    "input : array_like\n"                                                                         \
    "    The forward call's, (N, Ci, L) or (Ci, L).\n"                                             \
    "weight_size : tuple of int\n"                                                                 \
    "    The weight's shape, (Co, Ci/groups, K).\n"                                                \
    "grad_output : array_like\n"                                                                   \
    "    The gradient with respect to the output, of its "                                         \
    "shape.\n" CONV_GRADIENT_PARAMETERS WEIGHT_GRADIENT_NOTES ">>> import numpy as np, tconv\n"    \
    ">>> x, g = np.array([[[1.0, 2.0, 3.0]]]), np.array([[[1.0, 10.0]]])\n"                        \
    ">>> tconv.grad.conv1d_weight(x, (1, 1, 2), g)\n"                                              \
    "array([[[21., 32.]]])\n"

#define conv2d_input_doc                                                                           \
    "conv2d_input($module, /, input_size, weight, grad_output, stride=1, padding=0,\n"             \
    "dilation=1, groups=1, *, layout=None, padding_mode='zeros',\n"                                \
    "out=None, accumulate=False, out_dtype=None,\n"                                                \
    "threads=None)\n--\n\n"                                                                        \
    "Gradient of conv2d with respect to its input.\n"                                              \
    "\n"                                                                                           \
    "Parameters\n"                                                                                 \
    "----------\n"                                                                                 \
    "input_size : tuple of int\n"                                                                  \
    "    The shape of the forward call's input, (N, Ci, H, W) or (Ci, H, W).\n"                    \
    "weight : array_like\n"                                                                        \
    "    (Co, Ci/groups, kH, kW).\n"                                                               \
    "grad_output : array_like\n"                                                                   \
    "    The gradient with respect to the output, of its "                                         \
    "shape.\n" CONV_GRADIENT_PARAMETERS INPUT_GRADIENT_NOTES                                       \
    "It is the transposed convolution of `grad_output` with the same weight and parameters.\n"     \
    "\n"                                                                                           \
    "Examples\n"                                                                                   \
    "--------\n"                                                                                   \
    ">>> import numpy as np, tconv\n"                                                              \
    ">>> g, w = np.ones((1, 1, 2, 2)), np.ones((1, 1, 2, 2))\n"                                    \
    ">>> tconv.grad.conv2d_input((1, 1, 3, 3), w, g)  # how many outputs each input reached\n"     \
    "array([[[[1., 2., 1.],\n"                                                                     \
    "         [2., 4., 2.],\n"                                                                     \
    "         [1., 2., 1.]]]])\n"

#define conv2d_weight_doc                                                                          \
    "conv2d_weight($module, /, input, weight_size, grad_output, stride=1, padding=0,\n"            \
    "dilation=1, groups=1, *, layout=None, padding_mode='zeros',\n"                                \
    "out=None, accumulate=False, out_dtype=None,\n"                                                \
    "threads=None)\n--\n\n"                                                                        \
    "Gradient of conv2d with respect to its weight.\n"                                             \
    "\n"                                                                                           \
    "Parameters\n"                                                                                 \
    "----------\n"                                                                                 \
    "input : array_like\n"                                                                         \
    "    The forward call's, (N, Ci, H, W) or (Ci, H, W).\n"                                       \
    "weight_size : tuple of int\n"                                                                 \
    "    The weight's shape, (Co, Ci/groups, kH, kW).\n"                                           \
    "grad_output : array_like\n"                                                                   \
    "    The gradient with respect to the output, of its "                                         \
    "shape.\n" CONV_GRADIENT_PARAMETERS WEIGHT_GRADIENT_NOTES ">>> import numpy as np, tconv\n"    \
    ">>> x, g = np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2))\n"                                    \
    ">>> tconv.grad.conv2d_weight(x, (1, 1, 2, 2), g)\n"                                           \
    "array([[[[4., 4.],\n"                                                                         \
    "         [4., 4.]]]])\n"

#define conv3d_input_doc                                                                           \
    "conv3d_input($module, /, input_size, weight, grad_output, stride=1, padding=0,\n"             \
    "dilation=1, groups=1, *, layout=None, padding_mode='zeros',\n"                                \
    "out=None, accumulate=False, out_dtype=None,\n"                                                \
    "threads=None)\n--\n\n"                                                                        \
    "Gradient of conv3d with respect to its input.\n"                                              \
    "\n"                                                                                           \
    "Parameters\n"                                                                                 \
    "----------\n"                                                                                 \
    "input_size : tuple of int\n"                                                                  \
    "    The shape of the forward call's input, (N, Ci, D, H, W) or (Ci, D, H, W).\n"              \
    "weight : array_like\n"                                                                        \
    "    (Co, Ci/groups, kD, kH, kW).\n"                                                           \
    "grad_output : array_like\n"                                                                   \
    "    The gradient with respect to the output, of its "                                         \
    "shape.\n" CONV_GRADIENT_PARAMETERS INPUT_GRADIENT_NOTES                                       \
    "It is the transposed convolution of `grad_output` with the same weight and parameters.\n"     \
    "\n"                                                                                           \
    "Examples\n"                                                                                   \
    "--------\n"                                                                                   \
    ">>> import numpy as np, tconv\n"                                                              \
    ">>> g, w = np.ones((1, 1, 1, 1, 2)), np.ones((1, 1, 1, 1, 2))\n"                              \
    ">>> tconv.grad.conv3d_input((1, 1, 1, 1, 3), w, g)\n"                                         \
    "array([[[[[1., 2., 1.]]]]])\n"

#define conv3d_weight_doc                                                                          \
    "conv3d_weight($module, /, input, weight_size, grad_output, stride=1, padding=0,\n"            \
    "dilation=1, groups=1, *, layout=None, padding_mode='zeros',\n"                                \
    "out=None, accumulate=False, out_dtype=None,\n"                                                \
    "threads=None)\n--\n\n"                                                                        \
    "Gradient of conv3d with respect to its weight.\n"                                             \
    "\n"                                                                                           \
    "Parameters\n"                                                                                 \
    "----------\n"                                                                                 \
    "input : array_like\n"                                                                         \
    "    The forward call's, (N, Ci, D, H, W) or (Ci, D, H, W).\n"                                 \
    "weight_size : tuple of int\n"                                                                 \
    "    The weight's shape, (Co, Ci/groups, kD, kH, kW).\n"                                       \
    "grad_output : array_like\n"                                                                   \
    "    The gradient with respect to the output, of its "                                         \
    "shape.\n" CONV_GRADIENT_PARAMETERS WEIGHT_GRADIENT_NOTES ">>> import numpy as np, tconv\n"    \
    ">>> x, g = np.ones((1, 1, 1, 1, 3)), np.ones((1, 1, 1, 1, 3))\n"                              \
    ">>> tconv.grad.conv3d_weight(x, (1, 1, 1, 1, 3), g, padding=(0, 0, 1))\n"                     \
    "array([[[[[2., 3., 2.]]]]])\n"

#define conv_transpose1d_input_doc                                                                 \
    "conv_transpose1d_input($module, /, input_size, weight, grad_output, stride=1, padding=0,\n"   \
    "output_padding=0, groups=1, dilation=1, *, layout=None, padding_mode='zeros',\n"              \
    "out=None,\n"                                                                                  \
    "accumulate=False, out_dtype=None,\n"                                                          \
    "threads=None)\n--\n\n"                                                                        \
    "Gradient of conv_transpose1d with respect to its input.\n"                                    \
    "\n"                                                                                           \
    "Parameters\n"                                                                                 \
    "----------\n"                                                                                 \
    "input_size : tuple of int\n"                                                                  \
    "    The shape of the forward call's input, (N, Ci, L) or (Ci, L); None: it follows from the " \
    "output's.\n"                                                                                  \
    "weight : array_like\n"                                                                        \
    "    (Ci, Co/groups, K).\n"                                                                    \
    "grad_output : array_like\n"                                                                   \
    "    The gradient with respect to the output, of its "                                         \
    "shape.\n" TRANSPOSE_GRADIENT_PARAMETERS INPUT_GRADIENT_NOTES                                  \
    "It is the convolution of `grad_output` with the same weight and parameters.\n"                \
    "\n"                                                                                           \
    "Examples\n"                                                                                   \
    "--------\n"                                                                                   \
    ">>> import numpy as np, tconv\n"                                                              \
    ">>> g, w = np.ones((1, 1, 6)), np.array([[[1.0, 10.0]]])\n"                                   \
    ">>> tconv.grad.conv_transpose1d_input(None, w, g, stride=2)\n"                                \
    "array([[[11., 11., 11.]]])\n"

#define conv_transpose1d_weight_doc                                                                \
    "conv_transpose1d_weight($module, /, input, weight_size, grad_output, stride=1, padding=0,\n"  \
    "output_padding=0, groups=1, dilation=1, *, layout=None, padding_mode='zeros',\n"              \
    "out=None,\n"                                                                                  \
    "accumulate=False, out_dtype=None,\n"                                                          \
    "threads=None)\n--\n\n"                                                                        \
    "Gradient of conv_transpose1d with respect to its weight.\n"                                   \
    "\n"                                                                                           \
    "Parameters\n"                                                                                 \
    "----------\n"                                                                                 \
    "input : array_like\n"                                                                         \
    "    The forward call's, (N, Ci, L) or (Ci, L).\n"                                             \
    "weight_size : tuple of int\n"                                                                 \
    "    The weight's shape, (Ci, Co/groups, K).\n"                                                \
    "grad_output : array_like\n"                                                                   \
    "    The gradient with respect to the output, of its "                                         \
    "shape.\n" TRANSPOSE_GRADIENT_PARAMETERS WEIGHT_GRADIENT_NOTES                                 \
    ">>> import numpy as np, tconv\n"                                                              \
    ">>> x, g = np.array([[[1.0, 10.0]]]), np.array([[[1.0, 2.0, 3.0, 4.0]]])\n"                   \
    ">>> tconv.grad.conv_transpose1d_weight(x, (1, 1, 2), g, stride=2)\n"                          \
    "array([[[31., 42.]]])\n"

#define conv_transpose2d_input_doc                                                                 \
    "conv_transpose2d_input($module, /, input_size, weight, grad_output, stride=1, padding=0,\n"   \
    "output_padding=0, groups=1, dilation=1, *, layout=None, padding_mode='zeros',\n"              \
    "out=None,\n"                                                                                  \
    "accumulate=False, out_dtype=None,\n"                                                          \
    "threads=None)\n--\n\n"                                                                        \
    "Gradient of conv_transpose2d with respect to its input.\n"                                    \
    "\n"                                                                                           \
    "Parameters\n"                                                                                 \
    "----------\n"                                                                                 \
    "input_size : tuple of int\n"                                                                  \
    "    The shape of the forward call's input, (N, Ci, H, W) or (Ci, H, W); None: it follows "    \
    "from the output's.\n"                                                                         \
    "weight : array_like\n"                                                                        \
    "    (Ci, Co/groups, kH, kW).\n"                                                               \
    "grad_output : array_like\n"                                                                   \
    "    The gradient with respect to the output, of its "                                         \
    "shape.\n" TRANSPOSE_GRADIENT_PARAMETERS INPUT_GRADIENT_NOTES                                  \
    "It is the convolution of `grad_output` with the same weight and parameters.\n"                \
    "\n"                                                                                           \
    "Examples\n"                                                                                   \
    "--------\n"                                                                                   \
    ">>> import numpy as np, tconv\n"                                                              \
    ">>> g, w = np.ones((1, 1, 4, 4)), np.ones((1, 1, 2, 2))\n"                                    \
    ">>> tconv.grad.conv_transpose2d_input((1, 1, 2, 2), w, g, stride=2)\n"                        \
    "array([[[[4., 4.],\n"                                                                         \
    "         [4., 4.]]]])\n"

#define conv_transpose2d_weight_doc                                                                \
    "conv_transpose2d_weight($module, /, input, weight_size, grad_output, stride=1, padding=0,\n"  \
    "output_padding=0, groups=1, dilation=1, *, layout=None, padding_mode='zeros',\n"              \
    "out=None,\n"                                                                                  \
    "accumulate=False, out_dtype=None,\n"                                                          \
    "threads=None)\n--\n\n"                                                                        \
    "Gradient of conv_transpose2d with respect to its weight.\n"                                   \
    "\n"                                                                                           \
    "Parameters\n"                                                                                 \
    "----------\n"                                                                                 \
    "input : array_like\n"                                                                         \
    "    The forward call's, (N, Ci, H, W) or (Ci, H, W).\n"                                       \
    "weight_size : tuple of int\n"                                                                 \
    "    The weight's shape, (Ci, Co/groups, kH, kW).\n"                                           \
    "grad_output : array_like\n"                                                                   \
    "    The gradient with respect to the output, of its "                                         \
    "shape.\n" TRANSPOSE_GRADIENT_PARAMETERS WEIGHT_GRADIENT_NOTES                                 \
    ">>> import numpy as np, tconv\n"                                                              \
    ">>> x, g = np.ones((1, 1, 2, 2)), np.ones((1, 1, 3, 3))\n"                                    \
    ">>> tconv.grad.conv_transpose2d_weight(x, (1, 1, 2, 2), g)\n"                                 \
    "array([[[[4., 4.],\n"                                                                         \
    "         [4., 4.]]]])\n"

#define conv_transpose3d_input_doc                                                                 \
    "conv_transpose3d_input($module, /, input_size, weight, grad_output, stride=1, padding=0,\n"   \
    "output_padding=0, groups=1, dilation=1, *, layout=None, padding_mode='zeros',\n"              \
    "out=None,\n"                                                                                  \
    "accumulate=False, out_dtype=None,\n"                                                          \
    "threads=None)\n--\n\n"                                                                        \
    "Gradient of conv_transpose3d with respect to its input.\n"                                    \
    "\n"                                                                                           \
    "Parameters\n"                                                                                 \
    "----------\n"                                                                                 \
    "input_size : tuple of int\n"                                                                  \
    "    The shape of the forward call's input, (N, Ci, D, H, W) or (Ci, D, H, W); None: it "      \
    "follows from the output's.\n"                                                                 \
    "weight : array_like\n"                                                                        \
    "    (Ci, Co/groups, kD, kH, kW).\n"                                                           \
    "grad_output : array_like\n"                                                                   \
    "    The gradient with respect to the output, of its "                                         \
    "shape.\n" TRANSPOSE_GRADIENT_PARAMETERS INPUT_GRADIENT_NOTES                                  \
    "It is the convolution of `grad_output` with the same weight and parameters.\n"                \
    "\n"                                                                                           \
    "Examples\n"                                                                                   \
    "--------\n"                                                                                   \
    ">>> import numpy as np, tconv\n"                                                              \
    ">>> g, w = np.ones((1, 1, 1, 1, 4)), np.ones((1, 1, 1, 1, 2))\n"                              \
    ">>> tconv.grad.conv_transpose3d_input(None, w, g, stride=(1, 1, 2))\n"                        \
    "array([[[[[2., 2.]]]]])\n"

#define conv_transpose3d_weight_doc                                                                \
    "conv_transpose3d_weight($module, /, input, weight_size, grad_output, stride=1, padding=0,\n"  \
    "output_padding=0, groups=1, dilation=1, *, layout=None, padding_mode='zeros',\n"              \
    "out=None,\n"                                                                                  \
    "accumulate=False, out_dtype=None,\n"                                                          \
    "threads=None)\n--\n\n"                                                                        \
    "Gradient of conv_transpose3d with respect to its weight.\n"                                   \
    "\n"                                                                                           \
    "Parameters\n"                                                                                 \
    "----------\n"                                                                                 \
    "input : array_like\n"                                                                         \
    "    The forward call's, (N, Ci, D, H, W) or (Ci, D, H, W).\n"                                 \
    "weight_size : tuple of int\n"                                                                 \
    "    The weight's shape, (Ci, Co/groups, kD, kH, kW).\n"                                       \
    "grad_output : array_like\n"                                                                   \
    "    The gradient with respect to the output, of its "                                         \
    "shape.\n" TRANSPOSE_GRADIENT_PARAMETERS WEIGHT_GRADIENT_NOTES                                 \
    ">>> import numpy as np, tconv\n"                                                              \
    ">>> x, g = np.ones((1, 1, 1, 1, 3)), np.ones((1, 1, 1, 1, 4))\n"                              \
    ">>> tconv.grad.conv_transpose3d_weight(x, (1, 1, 1, 1, 2), g)\n"                              \
    "array([[[[[3., 3.]]]]])\n"

#define bias_doc                                                                                   \
    "bias($module, /, grad_output, *, layout=None, out=None, accumulate=False,\n"                  \
    "threads=None)\n--\n\n"                                                                        \
    "Gradient of any convolution with respect to its bias: the sum over batch and positions.\n"    \
    "\n"                                                                                           \
    "Parameters\n"                                                                                 \
    "----------\n"                                                                                 \
    "grad_output : array_like\n"                                                                   \
    "    The gradient with respect to the output, ``(N, C, *spatial)``.\n"                         \
    "layout : str, optional\n"                                                                     \
    "    The axes of `grad_output`, a letter each, such as ``\"NHWC\"``, or ``\"CHW\"`` for a\n"   \
    "    single sample. By default (C, L) in two dimensions, else (N, C, L), (N, C, H, W) or\n"    \
    "    (N, C, D, H, W): an array of three or four could be a sample of an image or volume\n"     \
    "    as well, and is taken for a batch, so that such a sample needs its layout.\n"             \
    "out : ndarray, optional\n"                                                                    \
    "    Where to put the result: (C,), any strides.\n"                                            \
    "accumulate : bool\n"                                                                          \
    "    Add to `out` instead of replacing what is there.\n"                                       \
    "threads : int, optional\n"                                                                    \
    "    At most so many threads; by default those of `tconv.set_num_threads`. The result does\n"  \
    "    not depend on it.\n"                                                                      \
    "\n"                                                                                           \
    "Returns\n"                                                                                    \
    "-------\n"                                                                                    \
    "ndarray\n"                                                                                    \
    "    (C,), `out` if that was given. Its error grows with the logarithm of the number of\n"     \
    "    elements, as that of NumPy's sum does.\n"                                                 \
    "\n"                                                                                           \
    "Examples\n"                                                                                   \
    "--------\n"                                                                                   \
    ">>> import numpy as np, tconv\n"                                                              \
    ">>> tconv.grad.bias(np.ones((2, 3, 5, 5)))\n"                                                 \
    "array([50., 50., 50.])\n"                                                                     \
    ">>> tconv.grad.bias(np.ones((5, 5, 3)), layout=\"HWC\")\n"                                    \
    "array([25., 25., 25.])\n"

#define make_plan_doc                                                                              \
    "plan($module, /, op, weight, bias=None, *, stride=1, padding=0,\n"                            \
    "output_padding=0, groups=1, dilation=1, layout=None, activation=None,\n"                      \
    "isa=None, engine=None, threads=None, padding_mode='zeros', out_dtype=None)\n--\n\n"           \
    "Prepare an operation for many inputs: choose the kernels, pack the weights once.\n"           \
    "\n"                                                                                           \
    "Parameters\n"                                                                                 \
    "----------\n"                                                                                 \
    "op : str\n"                                                                                   \
    "    The name of the operation, such as \"conv_transpose2d\".\n"                               \
    "weight, bias : array_like\n"                                                                  \
    "    As for the operation. The plan keeps a snapshot: later changes of the arrays do\n"        \
    "    not reach it.\n"                                                                          \
    "stride, padding, output_padding, groups, dilation\n"                                          \
    "    As for the operation.\n"                                                                  \
    "layout, activation, threads, padding_mode, out_dtype\n"                                       \
    "    As for the operation.\n"                                                                  \
    "isa : str, optional\n"                                                                        \
    "    The instruction set to use, of those that `tconv.show_config` lists.\n"                   \
    "engine : str, optional\n"                                                                     \
    "    The engine to use, likewise.\n"                                                           \
    "\n"                                                                                           \
    "Returns\n"                                                                                    \
    "-------\n"                                                                                    \
    "Plan\n"                                                                                       \
    "    To be called as ``plan(input, *, output_size=None, out=None,\n"                           \
    "    accumulate=False, threads=None)``, with inputs of any size, from any number of "          \
    "threads.\n"                                                                                   \
    "\n"                                                                                           \
    "Examples\n"                                                                                   \
    "--------\n"                                                                                   \
    ">>> import numpy as np, tconv\n"                                                              \
    ">>> w = np.ones((8, 4, 2, 2), np.float32)\n"                                                  \
    ">>> upsample = tconv.plan(\"conv_transpose2d\", w, stride=2)\n"                               \
    ">>> upsample.problem\n"                                                                       \
    "'ct2d_ci8_co4_k2_s2_p0_f32'\n"                                                                \
    ">>> upsample(np.ones((1, 8, 5, 5), np.float32)).shape\n"                                      \
    "(1, 4, 10, 10)\n"

#define plan_explain_doc                                                                           \
    "explain($self, input_shape, /, **options)\n--\n\n"                                            \
    "Tell what a call with an input of that shape would do.\n"                                     \
    "\n"                                                                                           \
    "Parameters\n"                                                                                 \
    "----------\n"                                                                                 \
    "input_shape : sequence of int\n"                                                              \
    "    The shape of the input.\n"                                                                \
    "**options\n"                                                                                  \
    "    `output_size` and `threads`, as for the call.\n"                                          \
    "\n"                                                                                           \
    "Returns\n"                                                                                    \
    "-------\n"                                                                                    \
    "Explanation\n"                                                                                \
    "    As of `tconv.explain`.\n"

#define plan_doc                                                                                   \
    "An operation with its weights, ready for inputs of any size; made by `tconv.plan`."

#define explain_doc                                                                                \
    "explain($module, /, op, input_shape, weight_shape, dtype='float32', *, bias=False,\n"         \
    "stride=1, padding=0, output_padding=0, groups=1, dilation=1, output_size=None,\n"             \
    "layout=None, isa=None, engine=None, threads=None, padding_mode='zeros')\n--\n\n"              \
    "The facts that `tconv.explain` puts into words, as a dict."

#define convert_half_doc                                                                           \
    "convert_half($module, dst, src, threads, /)\n--\n\n"                                          \
    "Copy a contiguous array of half precision into one of float32, or back."

#define config_doc                                                                                 \
    "config($module, /)\n--\n\n"                                                                   \
    "What was compiled and what this machine has, as a dict."

#define set_num_threads_doc                                                                        \
    "set_num_threads($module, threads, /)\n--\n\n"                                                 \
    "Set how many threads a call may use that does not say.\n"                                     \
    "\n"                                                                                           \
    "At import it is the number of processors that this process may use (its affinity,\n"          \
    "and the quota of its control group), or TCONV_NUM_THREADS, or OMP_NUM_THREADS.\n"             \
    "\n"                                                                                           \
    "Parameters\n"                                                                                 \
    "----------\n"                                                                                 \
    "threads : int\n"                                                                              \
    "    At least 1.\n"                                                                            \
    "\n"                                                                                           \
    "Returns\n"                                                                                    \
    "-------\n"                                                                                    \
    "int\n"                                                                                        \
    "    The number so far.\n"                                                                     \
    "\n"                                                                                           \
    "Examples\n"                                                                                   \
    "--------\n"                                                                                   \
    ">>> import tconv\n"                                                                           \
    ">>> before = tconv.set_num_threads(1)\n"                                                      \
    ">>> tconv.set_num_threads(before)\n"                                                          \
    "1\n"

#define get_num_threads_doc                                                                        \
    "get_num_threads($module, /)\n--\n\n"                                                          \
    "Tell how many threads a call may use that does not say.\n"                                    \
    "\n"                                                                                           \
    "Returns\n"                                                                                    \
    "-------\n"                                                                                    \
    "int\n"                                                                                        \
    "    As `tconv.set_num_threads` set it.\n"

#endif
