"""Names of generators, and of collections of photographs, in published data sets.

A layout is recognised by the names of its folders. These lists decide only two things: which of
several folders names the generator, and which folders hold photographs if no folder names the
class.
"""

import re
from functools import lru_cache

from clipfeat.features.classes import set_of

GENERATORS = set_of(
    "adm attgan aurora biggan blendface blip cogview communityai communityforensics controlnet "
    "craiyon crn cyclegan dall dalle ddim ddpm deepfake deepfakedetection deepfakes deepfloyd "
    "disco dit e4s eg3d face2face faceshifter faceswap firefly flux gaugan gigagan glid glide gpt "
    "grok guided hidream hunyuan iddpm ideogram imagen imle instantid inswap kandinsky latent lcm "
    "ldm midjourney mj neuraltextures openjourney photomaker pika pixart playground pndm progan "
    "qwen recraft sana sd sdv sdxl seedream segmind simswap simulacra sitd socialrf sora stable "
    "stargan styleclip stylegan styleswim taming vqdiffusion vqdm vqgan wfir whichfaceisreal "
    "wuerstchen wukong"
)
"""Words for generators. Other words that end in ``gan`` also count, except `NOT_GENERATORS`."""

NOT_GENERATORS = set_of("began cardigan hooligan michigan morgan organ slogan vegan")

PHOTOGRAPHS = set_of(
    "afhq celeba celebahq coco dresden ffhq flickr forchheim ilsvrc imagenet laion lsun mscoco "
    "openimages photo photographs photos raise redcaps textcaps ucid unsplash"
)
"""Words for collections of photographs, such as RAISE and COCO."""

PROGAN_CATEGORIES = set_of(
    "airplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike "
    "person pottedplant sheep sofa train tvmonitor"
)
"""The 20 categories of the ProGAN images of ForenSynths. One has the name of a split: ``train``."""


@lru_cache(maxsize=2**17)
def is_generator(name: str) -> bool:
    """Return whether the name of a folder contains a word for a generator.

    Examples
    --------
    >>> [is_generator(name) for name in ("sdv4", "StyleGAN-XL", "biggan_256", "organ", "real")]
    [True, True, True, False, False]
    """
    words = [re.sub(r"v?\d+$", "", word) or word for word in _words(name)]
    return any(
        word in GENERATORS
        or (word.endswith("gan") and len(word) > 3 and word not in NOT_GENERATORS)
        for word in [*words, *_words(name)]
    )


def generator_name(folder: str) -> str:
    """Return the generator that the name of a GenImage folder contains, or the whole name.

    Examples
    --------
    >>> generator_name("imagenet_ai_0419_sdv4"), generator_name("imagenet_midjourney")
    ('sdv4', 'midjourney')
    """
    match = re.fullmatch(r"imagenet_(?:ai_\d+_)?(.+)", folder, re.IGNORECASE)
    return match[1] if match and is_generator(match[1]) else folder


def is_photographs(name: str) -> bool:
    """Return whether the name of a folder contains a word for photographs, but no generator.

    Examples
    --------
    >>> [is_photographs(name) for name in ("RAISE-1k", "coco2017", "latent-diffusion_FFHQ")]
    [True, True, False]
    """
    words = {re.sub(r"\d+[km]?$", "", word) for word in _words(name)}
    return bool(words & PHOTOGRAPHS) and not is_generator(name)


def is_progan_category(name: str) -> bool:
    """Return whether a folder has the name of a category of the ProGAN images of ForenSynths."""
    return name.lower() in PROGAN_CATEGORIES


def _words(name: str) -> list[str]:
    return [word for word in re.split(r"[^a-z0-9]+", name.lower()) if word]
