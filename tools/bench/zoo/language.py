# SPDX-License-Identifier: Apache-2.0
"""Language models of transformers, built from small configurations."""
import transformers as t
from torch import nn
from transformers.cache_utils import DynamicCache

from zoo import BATCHES, TEXTS, add
from zoo.wrap import Wrap

SMALL = {"vocab_size": 96, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
         "intermediate_size": 64, "max_position_embeddings": 64}
IDS = {"ids": ("ids:96", "b", "n")}
MASKED = {"ids": ("ids:96", "b", "n"), "mask": ("mask", "b", "n")}


def text(name, model, config, masked=True, refused=None, wrong=None, fixed=None, opset=None, attention="eager",
         **options):
    settings = {**SMALL, **options}
    names = ("input_ids", "attention_mask")[:1 + masked]
    add(name, lambda: Wrap(getattr(t, model), getattr(t, config)(**settings), names,
                           attention=attention, **(fixed or {})),
        MASKED if masked else IDS, TEXTS, refused, wrong, opset=opset)


UNCACHED = {"use_cache": False}
GROUPED = {"num_key_value_heads": 2, "fixed": UNCACHED}
text("bert", "BertForMaskedLM", "BertConfig")
text("roberta", "RobertaForTokenClassification", "RobertaConfig")
text("distilbert", "DistilBertForSequenceClassification", "DistilBertConfig", dim=32, n_layers=2, n_heads=4,
     hidden_dim=64)
text("albert", "AlbertModel", "AlbertConfig", embedding_size=16)
text("electra", "ElectraForPreTraining", "ElectraConfig", embedding_size=16)
text("deberta_v2", "DebertaV2Model", "DebertaV2Config", relative_attention=True, pos_att_type=["p2c", "c2p"],
     position_buckets=8)
text("llama", "LlamaForCausalLM", "LlamaConfig", **GROUPED)
text("qwen2", "Qwen2ForCausalLM", "Qwen2Config", **GROUPED)
text("gemma2", "Gemma2ForCausalLM", "Gemma2Config", head_dim=8, **GROUPED)
text("phi", "PhiForCausalLM", "PhiConfig", fixed=UNCACHED)
text("gpt_neox", "GPTNeoXForCausalLM", "GPTNeoXConfig", fixed=UNCACHED)
text("bloom", "BloomForCausalLM", "BloomConfig", fixed=UNCACHED, n_head=4, n_layer=2)
text("mixtral", "MixtralForCausalLM", "MixtralConfig", num_local_experts=4, **GROUPED)
text("bert_opset23", "BertModel", "BertConfig", opset=23, attention="sdpa")
text("llama_opset23", "LlamaForCausalLM", "LlamaConfig", opset=23, attention="sdpa", **GROUPED)
add("mamba", lambda: Wrap(t.MambaModel, t.MambaConfig(vocab_size=96, hidden_size=32, num_hidden_layers=2, state_size=8),
                          ("input_ids",), use_cache=False), {"ids": ("ids:96", "b", 8)}, BATCHES)


class Cached(nn.Module):
    """One step of a decoder with its cache as inputs and outputs."""

    def __init__(self, kind, config, layers=2):
        super().__init__()
        config._attn_implementation = "eager"
        self.model, self.layers = kind(config), layers

    def forward(self, ids, mask, *past):
        pairs = [(past[2 * i], past[2 * i + 1]) for i in range(self.layers)]
        answer = self.model(input_ids=ids, attention_mask=mask, past_key_values=DynamicCache(pairs), use_cache=True)
        grown = [t for layer in answer.past_key_values.layers for t in (layer.keys, layer.values)]
        return (answer.logits, *grown)


def cached(name, model, config, heads, refused=None, wrong=None, **options):
    inputs = {"ids": ("ids:96", "b", "n"), "mask": ("mask", "b", "p+n")}
    for layer in range(2):
        inputs[f"key{layer}"] = inputs[f"value{layer}"] = ("f32", "b", heads, "p", 8)
    add(name, lambda: Cached(getattr(t, model), getattr(t, config)(**options)), inputs,
        [{"b": 2, "p": 5, "n": 3}, {"b": 1, "p": 9, "n": 1}, {"b": 3, "p": 2, "n": 4}], refused, wrong)


cached("gpt2_cached", "GPT2LMHeadModel", "GPT2Config", 4, vocab_size=96, n_embd=32, n_layer=2, n_head=4, n_positions=64)
cached("llama_cached", "LlamaForCausalLM", "LlamaConfig", 2, num_key_value_heads=2, **SMALL)


def t5():
    config = t.T5Config(vocab_size=96, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4,
                        feed_forward_proj="gated-gelu")
    return Wrap(t.T5ForConditionalGeneration, config, ("input_ids", "attention_mask", "decoder_input_ids"),
                keep=("logits",), use_cache=False)


def bart():
    config = t.BartConfig(vocab_size=96, d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4,
                          decoder_attention_heads=4, encoder_ffn_dim=64, decoder_ffn_dim=64,
                          max_position_embeddings=64)
    return Wrap(t.BartForConditionalGeneration, config, ("input_ids", "attention_mask", "decoder_input_ids"),
                keep=("logits",), use_cache=False)


PAIRS = [{"b": 2, "n": 8, "m": 5}, {"b": 1, "n": 13, "m": 7}, {"b": 3, "n": 5, "m": 9}]
add("t5", t5, {**MASKED, "target": ("ids:96", "b", "m")}, PAIRS)
add("bart", bart, {**MASKED, "target": ("ids:96", "b", "m")}, PAIRS)
