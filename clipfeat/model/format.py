"""The model file, version 2.

A model file is data. A reader does not import, call or open anything that the file names. The words
MUST, MAY and MUST NOT are used as in RFC 2119.

Container
---------
The file MUST be a zip archive with exactly two members, in this order: ``model.json`` and
``arrays.safetensors``. Members MUST be stored without compression and encryption. The second member
MUST follow the first without a gap. The zip directory MUST follow the second member without a gap
and MUST be at the end of the file, without a comment. The archive MAY use the zip64 extension. The
CRC-32 of each member MUST match. ``model.json`` MUST NOT have more than `MAX_DESCRIPTION` bytes.

``arrays.safetensors`` is a file of the format safetensors. Its header MUST NOT have more than
`MAX_ARRAYS_HEADER` bytes. Arrays MUST have the type F64, F32, I64, I32 or U8 and at most three
dimensions. They MUST cover the data without gaps and overlaps. Floating-point values MUST be
finite. `safetensors.numpy.load` reads the member without clipfeat.

Description
-----------
``model.json`` MUST be a JSON object in UTF-8 without repeated names, NaN and infinity. Integers
MUST NOT have more than 19 digits. Texts outside ``encoders`` and ``estimator`` MUST NOT have more
than `MAX_TEXT` characters. The object MUST have exactly these fields, except that ``prior``,
``adaptation`` and ``abstention`` MAY be missing:

================  ================================================================================
``kind``          ``"clipfeat-model"``
``version``       2
``classes``       names of the classes, different strings
``encoders``      the encoders' identities, as in the feature file
``fingerprints``  the digests of ``encoders``, which MUST match them
``n_features``    number of features; if there are encoders, the sum of their features
``members``       names of the classifiers
``threshold``     decision threshold in [0, 1] for two classes, or null
``estimator``     the fitted estimator, a node
``scores``        cross-validated scores, a list of objects
``about``         facts about the fit, an object
``libraries``     versions of libraries by name
``prior``         shares of the classes that the estimator's probabilities refer to, a positive
                  number for each class, with the sum 1
``adaptation``    shifts of the logits for a new domain, an object
``abstention``    calibration of the prediction sets of a model that abstains, an object
================  ================================================================================

``scores``, ``about`` and ``libraries`` are for people, and a reader MUST NOT depend on them. A row
of ``scores`` has the strings ``classifier`` and ``metric``, and the number or null ``value``. It
MAY have the strings ``encoder``, ``fold``, ``trained_on`` and ``tested_on``, the integers ``seed``
and ``n_train``, and the number ``seconds``, each of which may be null. Integers are less than 2^63.
The rows MUST NOT name more than `MAX_SCORED` different classifiers. The array ``training_keys`` (N,
16) holds the content hashes of the training images. N MAY be 0.

An ``adaptation`` MUST have exactly the fields ``shifts`` (a finite number in [-100, 100] for each
class), ``method`` (``"labels"`` or ``"prior"``), ``n_images`` (a positive integer below 2^31),
``before`` and ``after`` (objects of numbers or null, with the same names). A reader MUST add the
shifts to the logarithms of the estimator's probabilities and normalise the result, before it
applies ``threshold``. The other fields are for people. A program MAY undo an adaptation by removing
``adaptation``.

An ``abstention`` MUST have exactly the fields ``level`` (a number in (0, 1)), ``n_images`` and
``n_independent`` (for each class, a positive integer below 2^31). Each number of ``n_images`` MUST
be at least ``1 / level - 1``. For each class, ``n_independent`` MUST NOT be larger than
``n_images``. The array ``abstention`` of type F64 MUST be present and have one value for each
calibration image: the probability of the image's class from the estimator, without an adaptation.
The values MUST be in [0, 1], in the order of the classes, and ascending within each class.
`clipfeat.model.abstention` defines the prediction sets. A reader MUST NOT use them for
the predictions of an adapted model.

Nodes
-----
A node is a JSON object that describes one estimator. Its field ``kind`` is the name of one of the
codecs in `clipfeat.model.codecs`, or of the codec of an installed plug-in. The codec defines all
other fields of the node: numbers, strings, nested nodes, and arrays. An array of the node at
``estimator/steps/0`` is stored under the name ``estimator/steps/0/<field>``. A reader MUST refuse
unknown kinds, unknown and missing fields, and unknown and missing arrays. It MUST check the type,
the shape and the range of each field, and that the fields of a node and of its nested nodes agree.
Nodes MUST NOT be nested more than `MAX_DEPTH` deep. A file MUST NOT have more than `MAX_NODES`
nodes, and a pipeline MUST NOT have more than `MAX_STEPS` steps. An estimator MUST NOT have more
than `MAX_CLASSES` classes, and the estimator's labels are indices into ``classes``. The number of
members of a vote or a stack times its number of classes MUST NOT be more than `MAX_MEMBER_CLASSES`.

Trees are arrays of nodes. The children of a node MUST have larger indices than the node and MUST be
in the same tree, and a node MUST NOT be the child of two nodes. All trees of a file together MUST
NOT be more than `MAX_TREES`. Features MUST be in the range of the estimator's features. A leaf has
-1 for both children and for its feature. Prediction follows the left child if the feature's float32
value is at most the threshold.

To raise the version: add a branch to `clipfeat.model.model_file`, keep a small file of the old
version under ``tests/model/files``, and describe the change here. Version 1 held objects of skops,
which could write files when a model predicted. Version 1 is therefore not read.
"""

KIND = "clipfeat-model"
VERSION = 2
MODEL_NAME = "model.clipfeat"
"""Name of the model file in a folder and on the hub."""
DESCRIPTION = "model.json"
ARRAYS = "arrays.safetensors"
MEMBERS = (DESCRIPTION, ARRAYS)
MAX_DESCRIPTION = 2**24
MAX_ARRAYS_HEADER = 2**22
MAX_DEPTH = 20
MAX_CLASSES = 100_000
MAX_NODES = 10_000
MAX_STEPS = 20
MAX_TREES = 100_000
MAX_MEMBER_CLASSES = 2_000_000
MAX_SCORED = 1000
MAX_TEXT = 4096
TRAINING_KEYS = "training_keys"
ABSTENTION = "abstention"
KEY_BYTES = 16
"""Bytes of a content hash."""
