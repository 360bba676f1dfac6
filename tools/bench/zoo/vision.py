# SPDX-License-Identifier: Apache-2.0
"""Image models of transformers, built from small configurations."""
import transformers as t

from zoo import BATCHES, EXPORTERS, IMAGES, add
from zoo.wrap import Wrap

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
FIXED = {"pixels": ("f32", "b", 3, 32, 32)}
FREE = {"pixels": ("f32", "b", 3, "h", "w")}


def image(name, model, config, inputs=None, sizes=None, refused=None, wrong=None, **options):
    add(name, lambda: Wrap(getattr(t, model), getattr(t, config)(**options), ("pixel_values",)), inputs or FIXED,
        sizes or BATCHES, refused, wrong)


image("vit", "ViTForImageClassification", "ViTConfig", image_size=32, patch_size=8, **SMALL)
image("deit", "DeiTForImageClassificationWithTeacher", "DeiTConfig", image_size=32, patch_size=8, **SMALL)
image("dinov2", "Dinov2Model", "Dinov2Config", image_size=32, patch_size=8, hidden_size=32, num_hidden_layers=2,
      num_attention_heads=4)
image("beit", "BeitForImageClassification", "BeitConfig", image_size=32, patch_size=8,
      use_relative_position_bias=True, **SMALL)
image("swin", "SwinForImageClassification", "SwinConfig", image_size=32, patch_size=2, embed_dim=16, depths=[2, 2],
      num_heads=[2, 4], window_size=4)
image("convnext", "ConvNextForImageClassification", "ConvNextConfig", inputs=FREE, sizes=IMAGES,
      hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 2, 1])
image("resnet", "ResNetForImageClassification", "ResNetConfig", inputs=FREE, sizes=IMAGES, embedding_size=8,
      hidden_sizes=[16, 32], depths=[2, 1], layer_type="bottleneck")
image("regnet", "RegNetForImageClassification", "RegNetConfig", inputs=FREE, sizes=IMAGES, embedding_size=8,
      hidden_sizes=[16, 32], depths=[1, 1], groups_width=8)
image("mobilenet_v2_small", "MobileNetV2ForImageClassification", "MobileNetV2Config", inputs=FREE, sizes=IMAGES,
      depth_multiplier=0.25, wrong={e: "its padding follows the parity of the size, in Python" for e in EXPORTERS})
image("mobilevit", "MobileViTForImageClassification", "MobileViTConfig", image_size=64,
      inputs={"pixels": ("f32", "b", 3, 64, 64)}, hidden_sizes=[16, 24, 32],
      neck_hidden_sizes=[8, 8, 16, 16, 24, 24, 32])
image("efficientnet", "EfficientNetForImageClassification", "EfficientNetConfig", inputs=FREE, sizes=IMAGES,
      width_coefficient=0.25, depth_coefficient=0.3, hidden_dim=320, image_size=32)
image("segformer", "SegformerForSemanticSegmentation", "SegformerConfig", inputs=FREE,
      sizes=[{"b": 2, "h": 64, "w": 64}, {"b": 1, "h": 96, "w": 64}, {"b": 3, "h": 64, "w": 96}],
      hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1], num_attention_heads=[1, 2, 2, 4], decoder_hidden_size=16)
image("poolformer", "PoolFormerForImageClassification", "PoolFormerConfig", inputs=FREE, sizes=IMAGES,
      hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1])
image("yolos", "YolosForObjectDetection", "YolosConfig", image_size=[32, 32], patch_size=8, num_detection_tokens=5,
      **SMALL)
image("dpt", "DPTForDepthEstimation", "DPTConfig", image_size=32, patch_size=8, hidden_size=32, num_hidden_layers=4,
      num_attention_heads=4, intermediate_size=64, backbone_out_indices=[0, 1, 2, 3], neck_hidden_sizes=[8, 16, 16, 24],
      fusion_hidden_size=16)


def detr():
    backbone = t.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1],
                              layer_type="basic", out_features=["stage4"])
    config = t.DetrConfig(use_timm_backbone=False, backbone_config=backbone, backbone=None,
                          use_pretrained_backbone=False, d_model=32, num_queries=6, encoder_layers=1, decoder_layers=1,
                          encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=64, decoder_ffn_dim=64)
    return Wrap(t.DetrForObjectDetection, config, ("pixel_values",), keep=("logits", "pred_boxes"))


add("detr", detr, {"pixels": ("f32", "b", 3, 64, 64)}, BATCHES)
