# SPDX-License-Identifier: Apache-2.0
"""Sound, and images with words: models of transformers, built from small configurations."""
import transformers as t

from zoo import BATCHES, add
from zoo.wrap import Wrap

TOWER = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
WAVES = [{"b": 2, "n": 1600}, {"b": 1, "n": 2500}, {"b": 3, "n": 1900}]


def whisper():
    config = t.WhisperConfig(vocab_size=96, num_mel_bins=16, d_model=32, encoder_layers=2, decoder_layers=2,
                             encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=64,
                             decoder_ffn_dim=64, max_source_positions=20, max_target_positions=24, pad_token_id=0,
                             bos_token_id=1, eos_token_id=2, decoder_start_token_id=1)
    return Wrap(t.WhisperForConditionalGeneration, config, ("input_features", "decoder_input_ids"), keep=("logits",),
                use_cache=False)


def waves(kind, config):
    def build():
        return Wrap(getattr(t, kind), getattr(t, config)(
            vocab_size=32, conv_dim=(16, 16, 16), conv_stride=(5, 4, 2), conv_kernel=(10, 8, 3),
            num_feat_extract_layers=3, num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=4, **TOWER),
            ("input_values",))
    return build


def pair(model, config, **text):
    def build():
        small = getattr(t, config)(text_config={"vocab_size": 96, "max_position_embeddings": 24, **TOWER, **text},
                                   vision_config={"image_size": 32, "patch_size": 8, **TOWER}, projection_dim=16)
        return Wrap(getattr(t, model), small, ("input_ids", "pixel_values"),
                    keep=("logits_per_image", "text_embeds", "image_embeds"))
    return build


WORDS = {"ids": ("ids:96", "b", "n"), "pixels": ("f32", "b", 3, 32, 32)}
add("whisper", whisper, {"features": ("f32", "b", 16, 40), "ids": ("ids:96", "b", "n")},
    [{"b": 2, "n": 5}, {"b": 1, "n": 9}, {"b": 3, "n": 3}], refused={"legacy": "aten::diff"})
add("wav2vec2", waves("Wav2Vec2ForCTC", "Wav2Vec2Config"), {"wave": ("f32", "b", "n")}, WAVES)
add("hubert", waves("HubertForCTC", "HubertConfig"), {"wave": ("f32", "b", "n")}, WAVES)
add("clip", pair("CLIPModel", "CLIPConfig", bos_token_id=1, eos_token_id=95, pad_token_id=0), WORDS,
    [{"b": 2, "n": 8}, {"b": 1, "n": 13}, {"b": 3, "n": 5}])
add("siglip", pair("SiglipModel", "SiglipConfig"), {"ids": ("ids:96", "b", 24), "pixels": WORDS["pixels"]}, BATCHES)
