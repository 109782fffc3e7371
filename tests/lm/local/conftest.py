"""Small models made here: random weights, a vocabulary trained on a few lines, saved as real ones are."""

from __future__ import annotations

import pytest

TEXT = [
    "[[ ## question ## ]] What is the capital of France? [[ ## answer ## ]] Paris [[ ## completed ## ]]",
    "Your input fields are: 1. `question` (str): Your output fields are: 1. `answer` (str):",
    "Respond with the corresponding output fields, starting with the field. red green blue one two three",
    "system user assistant The quick brown fox jumps over the lazy dog 0 1 2 3 4 5 6 7 8 9 \n\n { } ` ' \" . , ;",
]
CHAT = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def tokenizer_of(transformers, *, chat):
    import tokenizers

    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    specials = ["<pad>", "</s>", "<|system|>", "<|user|>", "<|assistant|>"]
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=specials,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(TEXT, trainer)
    wrapped = transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", eos_token="</s>", model_max_length=512
    )
    if chat:
        wrapped.chat_template = CHAT
    return wrapped


def save_causal(folder, *, kind="llama", chat=True, positions=512, sure=False):
    """`sure`: a head that can be sure of a token, which trained heads are: LoRA leaves it as it is."""
    import torch
    import transformers

    torch.manual_seed(0)
    tokenizer = tokenizer_of(transformers, chat=chat)
    sizes = {"vocab_size": len(tokenizer), "eos_token_id": 1, "pad_token_id": 0, "bos_token_id": None}
    if kind == "llama":
        config = transformers.LlamaConfig(
            hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=positions, **sizes,
        )  # fmt: skip
    else:
        config = transformers.GPT2Config(n_embd=32, n_layer=2, n_head=4, n_positions=positions, **sizes)
    model = transformers.AutoModelForCausalLM.from_config(config)
    with torch.no_grad():  # larger weights: answers that depend on the prompt, and not on rounding
        for p in model.parameters():
            if p.dim() > 1:
                p.mul_(6.0)
        if sure:
            model.lm_head.weight.normal_()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def save_t5(folder, *, scale=3.0, ends=False):
    """`ends`: a reply can be learned to end; without it answers run on, which tests of limits want."""
    import torch
    import transformers

    torch.manual_seed(0)
    tokenizer = tokenizer_of(transformers, chat=False)
    tokenizer._tokenizer.post_processor = __import__("tokenizers").processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    config = transformers.T5Config(
        vocab_size=len(tokenizer), d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4,
        decoder_start_token_id=0, eos_token_id=1, pad_token_id=0, dropout_rate=0.0,
        tie_word_embeddings=False,
    )  # fmt: skip
    model = transformers.T5ForConditionalGeneration(config)
    with torch.no_grad():
        for p in model.parameters():
            if p.dim() > 1:
                p.mul_(scale)
        model.lm_head.weight.normal_()
        if not ends:
            model.lm_head.weight[1] = 0
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def causal(tmp_path_factory):
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    return save_causal(tmp_path_factory.mktemp("causal"))


@pytest.fixture(scope="session")
def gpt2(tmp_path_factory):
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    return save_causal(tmp_path_factory.mktemp("gpt2"), kind="gpt2", chat=False)


@pytest.fixture(scope="session")
def t5(tmp_path_factory):
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    return save_t5(tmp_path_factory.mktemp("t5"))
