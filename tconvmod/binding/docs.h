/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TC_DOCS_H
#define TC_DOCS_H

/* The docstrings of the compiled functions (numpydoc). The first line up to "--" is the signature
 * that Python's inspect reads. Text that the three ranks share is written once. */

#define OPTIONS_SIGNATURE                                                                          \
    "($module, /, input, weight, bias=None, stride=1, padding=0,\n"                                \
    "output_padding=0, groups=1, dilation=1, *, output_size=None, out=None,\n"                     \
    "threads=None)\n--\n\n"

#define TRANSPOSE_PARAMETERS                                                                       \
    "bias : array_like, optional\n"                                                                \
    "    (Co,), added to every output of its channel.\n"                                           \
    "stride, padding, output_padding, dilation : int or sequence of int\n"                         \
    "    One value, or one for each spatial axis. `padding` crops the output by\n"                 \
    "    so many elements on both sides; `output_padding` adds some on the far\n"                  \
    "    side, fewer than max(stride, dilation).\n"                                                \
    "groups : int\n"                                                                               \
    "    Input and output channels are split into so many groups that do not\n"                    \
    "    mix.\n"                                                                                   \
    "output_size : int, sequence of int, or array, optional\n"                                     \
    "    The spatial size wanted, or an array that has it; picks\n"                                \
    "    `output_padding`.\n"                                                                      \
    "out : ndarray, optional\n"                                                                    \
    "    Where to put the result: an array of its shape and dtype, of any strides.\n"              \
    "    It may overlap the inputs.\n"                                                             \
    "threads : int, optional\n"                                                                    \
    "    How many threads to use at most; see `tconv.set_num_threads`.\n"                          \
    "\n"                                                                                           \
    "Returns\n"                                                                                    \
    "-------\n"                                                                                    \
    "ndarray\n"

#define TRANSPOSE_NOTES                                                                            \
    "    where each spatial length is\n"                                                           \
    "    (in - 1)*stride - 2*padding + dilation*(kernel - 1) + output_padding + 1.\n"              \
    "\n"                                                                                           \
    "Raises\n"                                                                                     \
    "------\n"                                                                                     \
    "TypeError\n"                                                                                  \
    "    For arguments of the wrong type, unsupported dtypes, and dtypes that differ.\n"           \
    "ValueError\n"                                                                                 \
    "    For values and shapes that do not fit together.\n"                                        \
    "OverflowError, MemoryError\n"                                                                 \
    "    For integers past 64 bits, and where memory runs out.\n"                                  \
    "\n"                                                                                           \
    "Notes\n"                                                                                      \
    "-----\n"                                                                                      \
    "The operation is the transpose, as a matrix, of a convolution with the same\n"                \
    "parameters, hence the gradient of that convolution with respect to its input\n"               \
    "(V. Dumoulin, F. Visin, A guide to convolution arithmetic for deep learning,\n"               \
    "arXiv:1603.07285). Arrays may have any strides and are not copied. float32 and\n"             \
    "float64 are supported. The result has the same bits for any number of threads\n"              \
    "and for any batch that a sample is in.\n"                                                     \
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

#define make_plan_doc                                                                              \
    "plan($module, /, op, weight, bias=None, *, stride=1, padding=0,\n"                            \
    "output_padding=0, groups=1, dilation=1, isa=None, engine=None, threads=None)\n--\n\n"         \
    "Prepare an operation for many inputs: choose the kernels, pack the weights once.\n"           \
    "\n"                                                                                           \
    "Parameters\n"                                                                                 \
    "----------\n"                                                                                 \
    "op : str\n"                                                                                   \
    "    The name of the operation, such as \"conv_transpose2d\".\n"                               \
    "weight, bias, stride, padding, output_padding, groups, dilation, threads\n"                   \
    "    As for the operation. The plan keeps a snapshot of weight and bias: later\n"              \
    "    changes of the arrays do not reach it.\n"                                                 \
    "isa : str, optional\n"                                                                        \
    "    The instruction set to use, of those that `tconv.show_config` lists.\n"                   \
    "engine : str, optional\n"                                                                     \
    "    The engine to use, likewise.\n"                                                           \
    "\n"                                                                                           \
    "Returns\n"                                                                                    \
    "-------\n"                                                                                    \
    "Plan\n"                                                                                       \
    "    To be called as ``plan(input, *, output_size=None, out=None,\n"                           \
    "    threads=None)``, with inputs of any size, from any number of threads.\n"                  \
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

#define plan_doc                                                                                   \
    "An operation with its weights, ready for inputs of any size; made by `tconv.plan`."

#define explain_doc                                                                                \
    "explain($module, /, op, input_shape, weight_shape, dtype='float32', *, bias=False,\n"         \
    "stride=1, padding=0, output_padding=0, groups=1, dilation=1, output_size=None,\n"             \
    "isa=None, engine=None, threads=None)\n--\n\n"                                                 \
    "The facts that `tconv.explain` puts into words, as a dict."

#define config_doc                                                                                 \
    "config($module, /)\n--\n\n"                                                                   \
    "What was compiled and what this machine has, as a dict."

#define set_num_threads_doc                                                                        \
    "set_num_threads($module, threads, /)\n--\n\n"                                                 \
    "Set how many threads a call may use that does not say; returns the former number.\n"          \
    "\n"                                                                                           \
    "At import it is the number of processors that this process may use (its affinity,\n"          \
    "and the quota of its control group), or TCONV_NUM_THREADS, or OMP_NUM_THREADS.\n"             \
    "\n"                                                                                           \
    "Examples\n"                                                                                   \
    "--------\n"                                                                                   \
    ">>> import tconv\n"                                                                           \
    ">>> before = tconv.set_num_threads(1)\n"                                                      \
    ">>> tconv.set_num_threads(before)\n"                                                          \
    "1\n"

#define get_num_threads_doc                                                                        \
    "get_num_threads($module, /)\n--\n\n"                                                          \
    "How many threads a call may use that does not say."

#endif
