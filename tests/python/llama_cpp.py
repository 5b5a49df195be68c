"""What llama.cpp makes of GGUF metadata, in float64: the oracle of test_gguf.py.

Written after llama.cpp: llama_model_base::load_hparams, each model's load_arch_hparams,
llama_context's constructor, llama_model::get_rope_factors; and ggml's ggml_rope_cache_init and
rope_yarn. It goes token by token and pair by pair, as these do, and shares no code with torch_rope.
"""

import math


def hparams_of(metadata, sliding=False):
    arch = metadata["general.architecture"]

    def key(name, default=None):
        return metadata.get(f"{arch}.{name}", default)

    n_embd_head_k = key("attention.key_length")
    if n_embd_head_k is None and key("embedding_length") is not None:
        n_embd_head_k = key("embedding_length") // key("attention.head_count")
    scale = key("rope.scaling.factor", key("rope.scale_linear", 0.0))
    hparams = {
        "n_rot": key("rope.dimension_count", n_embd_head_k),
        "freq_base": key("rope.freq_base", 10000.0),
        "freq_scale": 1.0 if scale == 0.0 else 1.0 / scale,
        "n_ctx_orig": key("rope.scaling.original_context_length", key("context_length")),
        "scaling_type": key("rope.scaling.type", "linear"),
        "ext_factor": key("rope.scaling.yarn_ext_factor", -1.0),
        "beta_fast": key("rope.scaling.yarn_beta_fast", 32.0),
        "beta_slow": key("rope.scaling.yarn_beta_slow", 1.0),
        "attn_factor": key("rope.scaling.attn_factor", 1.0),
        "log_mul": key("rope.scaling.yarn_log_multiplier", 0.0),
    }
    if arch == "deepseek2":
        hparams["log_mul"] /= 0.1
    alpha = key("rope.scaling.alpha", 0.0)
    if arch == "hunyuan-dense" and alpha > 0.0:
        dim = n_embd_head_k
        hparams["freq_base"] *= alpha ** (dim / (dim - 2))
    if sliding:
        base = {"gemma3": 10000.0, "olmo2": hparams["freq_base"]}.get(arch, 10000.0)
        hparams["freq_base"] = key("rope.freq_base_swa", base)
        hparams["n_rot"] = key("rope.dimension_count_swa", hparams["n_rot"])
    return hparams


def mscale_of(scale, mscale):
    return 1.0 if scale <= 1.0 else 0.1 * mscale * math.log(scale) + 1.0


def context_of(arch, hparams):
    """(freq_scale, ext_factor, attn_factor) that ggml is called with."""
    freq_scale = 1.0 if hparams["scaling_type"] == "none" else hparams["freq_scale"]
    ext_factor, attn_factor = hparams["ext_factor"], 1.0
    if ext_factor < 0.0:
        ext_factor = 1.0 if hparams["scaling_type"] == "yarn" else 0.0
    if ext_factor != 0.0:
        factor = 1.0 / freq_scale
        if hparams["log_mul"] != 0.0:
            mscale, mscale_all_dims = 1.0, hparams["log_mul"]
            if arch == "deepseek2" and mscale_all_dims != 1.0:
                mscale = mscale_all_dims
            attn_factor = mscale_of(factor, mscale) / mscale_of(factor, mscale_all_dims)
        else:
            attn_factor = mscale_of(factor, 1.0)
        attn_factor *= 1.0 / (1.0 + 0.1 * math.log(factor))
    return freq_scale, ext_factor, attn_factor * hparams["attn_factor"]


def corr_dim(n_dims, n_ctx_orig, n_rot, base):
    return n_dims * math.log(n_ctx_orig / (n_rot * 2 * math.pi)) / (2 * math.log(base))


def factors_of(metadata, hparams, n_ctx, sliding):
    if sliding and metadata["general.architecture"] == "gemma4":
        return None
    if "rope_freqs.weight" in metadata:
        return metadata["rope_freqs.weight"]
    if n_ctx is not None and n_ctx > hparams["n_ctx_orig"]:
        return metadata.get("rope_factors_long.weight")
    return metadata.get("rope_factors_short.weight")


def angles_of(metadata, position, n_ctx=None, sliding=False):
    """(the angle of each pair at this position, what cosines and sines are multiplied by)"""
    hparams = hparams_of(metadata, sliding)
    arch = metadata["general.architecture"]
    freq_scale, ext_factor, attn_factor = context_of(arch, hparams)
    if sliding:
        freq_scale = 1.0  # rope_freq_scale_train_swa
        if arch == "olmo2":
            ext_factor, attn_factor = 0.0, 1.0
    factors = factors_of(metadata, hparams, n_ctx, sliding)
    n_dims, base = hparams["n_rot"], hparams["freq_base"]
    low = high = 0.0
    if ext_factor != 0.0:
        ends = (n_dims, hparams["n_ctx_orig"])
        low = max(0.0, float(math.floor(corr_dim(*ends, hparams["beta_fast"], base))))
        high = min(n_dims - 1.0, float(math.ceil(corr_dim(*ends, hparams["beta_slow"], base))))
    theta, theta_scale = float(position), base ** (-2.0 / n_dims)
    angles, magnitude = [], attn_factor
    for i0 in range(0, n_dims, 2):
        theta_extrap = theta / (factors[i0 // 2] if factors is not None else 1.0)
        theta_interp = freq_scale * theta_extrap
        angle = theta_interp
        if ext_factor != 0.0:
            y = (i0 // 2 - low) / max(0.001, high - low)
            ramp_mix = (1.0 - min(1.0, max(0.0, y))) * ext_factor
            angle = theta_interp * (1.0 - ramp_mix) + theta_extrap * ramp_mix
            magnitude = attn_factor * (1.0 + 0.1 * math.log(1.0 / freq_scale))
        angles.append(angle)
        theta *= theta_scale
    return angles, magnitude
