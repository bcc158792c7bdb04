"""The matrices of a layer: those that share their input are one product. Imports nothing: commands name them too."""

# The product's name -> the room of the layer it stands in, and its parts by Hugging Face's names, one below the other.
STACKS = {
    "qkv": ("self_attn", ("q_proj", "k_proj", "v_proj")),
    "out": ("self_attn", ("o_proj",)),
    "gate_up": ("mlp", ("gate_proj", "up_proj")),
    "down": ("mlp", ("down_proj",)),
}
TARGETS = tuple(part for _, parts in STACKS.values() for part in parts)
