"""What each metric and setting means, in one sentence for someone who is learning, and what a result says in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from deepen.insight.curves import plain, shown, words
from deepen.insight.ink import number, percent, several
from deepen.spec import Action, Boxes, Category, Horizon, Labels, Mask, Nothing, Output, Tokens
from deepen.tasks.base import Rival

METRICS = {
    "accuracy": "The share of samples whose class was named rightly.",
    "balanced_accuracy": "The mean over the classes of the share recognised: a rare class counts as a common one.",
    "top5_accuracy": "How often the right class was among the five most probable ones.",
    "macro_f1": "The mean over the classes of the F1 score, which asks both that a class is found and that it is not "
    "said in vain; 1 is best.",
    "f1": "The harmonic mean of precision and recall of this class, the rarer one: 1 is best.",
    "precision": "Of the samples that were said to be of this class, the share that is.",
    "recall": "Of the samples that are of this class, the share that was found.",
    "auroc": "How often a random sample of a class gets a higher score than a random sample of another; 0.5 is chance, "
    "1 is best.",
    "log_loss": "The surprise at the truth: the mean of −ln(the probability given to the right class); 0 is best, and "
    "being sure and wrong costs most.",
    "loss": "What training makes small; 0 is usually best.",
    "calibration_error": "The mean gap between how sure the model was and how often it was right; 0 is best.",
    "r2": "The share of the target's variance that is explained; 1 is best, 0 is no better than the mean.",
    "rmse": "The typical error in the target's own units, large errors weighing more (root of the mean squared error).",
    "mae": "The mean error in the target's own units, either way.",
    "mse": "The mean squared error.",
    "return": "The sum of rewards in one episode, on average.",
    "mean_return": "The sum of rewards in one episode, on average.",
    "length": "Steps until an episode ends, on average.",
    "episode_length": "Steps until an episode ends, on average.",
    "brier": "The mean squared distance between the probabilities and the truth; 0 is best.",
    "distance": "How far the samples drawn are from real ones, seen along many directions; 0 is indistinguishable.",
    "told_apart": "How often the discriminator knows a real sample from a drawn one; 0.5 means that it can only guess.",
    "ap": "Of the things that are there, how many are found, and of what is found, how much is there: the area under precision "
    "and recall, averaged over classes and over how exactly a box must fit (IoU .50 to .95); 1 is best.",
    "ap50": "The area under precision and recall where a box counts as found if it shares half its area with the truth; 1 is "
    "best.",
    "ap75": "The same where three quarters must agree.",
    "miou": "The mean over the classes of IoU: the pixels that truth and answer share, of those that either has.",
    "iou": "The pixels that truth and answer share, of those that either has.",
    "pixel_accuracy": "The share of pixels whose class was named rightly; large classes decide it.",
    "mean_accuracy": "The mean over the classes of the share of their pixels that was recognised.",
    "content": "How far what is shown has moved from the picture, in the eyes of the network that judges.",
    "style": "How far colours and strokes are from those of the style picture, in the eyes of the network that judges.",
    "tv": "How much neighbouring pixels differ: high for noise, low for smooth areas.",
    "bits_per_character": "The bits that a perfect packer would need for a character, were it told these chances: to be compared "
    "where texts are cut into other pieces.",
    "word_error_rate": "Words to be put in, taken out or changed to make what was written into what was said, as a share of the "
    "words that were said; 0 is best.",
    "character_error_rate": "The same, counted in characters.",
    "exact": "The share of recordings that were written without a mistake.",
    "bleu": "How many runs of one to four words of a translation stand in the reference, in small letters, cut into words as in "
    "papers; 100 is the reference itself.",
    "sacrebleu": "BLEU as the program sacrebleu counts it (tok:13a, case:mixed): capitals count, and signs stand apart. A "
    "sentence without blanks, as in Chinese, is one word there, so that for such languages it says nothing.",
    "perplexity": "Among how many equally likely choices the model is torn, on average; 1 is best.",
}

OF_TOKENS = {
    "accuracy": "The share of tokens that were named rightly.",
    "loss": "The surprise at the true tokens: the mean of −ln(the probability given to them); 0 is best.",
}
"""The same where it is tokens that are answered."""

OF_LABELS = {
    "accuracy": "The share of words whose label was named rightly.",
    "unseen_accuracy": "The same over the words that no training sentence has.",
    "macro_f1": "The mean over the labels of the F1 score, which asks that a label is found and that it is not said in vain; "
    "1 is best.",
    "f1": "The harmonic mean of precision and recall: 1 is best. Only what is found whole, and of the right kind, counts.",
    "precision": "Of what was said to be there, the share that is, from its first to its last word.",
    "recall": "Of what is there, the share that was found, from its first to its last word.",
    "loss": "The surprise at the true labels: the mean over the words of −ln(the probability given to them); 0 is best.",
}
"""The same where words have labels."""

OF_ONE = {
    "rmse": "The typical error of this one in its own units, large errors weighing more.",
    "mae": "The mean error of this one in its own units, either way.",
}
"""Of one of several targets, as `mae/load`: the metric itself is then over all of them."""
SCALED = {
    "mse": "The mean squared error over all that is forecast, each in deviations of its training part; 1 is about what its mean "
    "would give.",
    "mae": "The mean error over all that is forecast, each in deviations of its training part.",
}
"""Of forecasts, which may be of several variates in units of their own."""

ALIASES = {"ece": "calibration_error", "f1_macro": "macro_f1", "cross_entropy": "log_loss", "auc": "auroc"}

PICTURES = {
    "loss": "What training makes small. While both fall, it learns; where validation rises and training still falls, "
    "it learns by heart.",
    "schedule": "The learning rate: how far one step goes. Large at first to get far, small at the end to settle.",
    "confusion": "Blue is right, orange is wrong; a strong orange square is a pair of classes that it mixes up.",
    "reliability": "Dots on the dashed line mean that when it says 80 %, it is right 80 times in 100. Below the line "
    "it is too sure of itself, above it too modest.",
    "samples": "Training samples as they are stored, with their labels. If a label looks wrong here, check it.",
    "augment": "What the model sees instead of the same picture each time. If you can no longer tell what it is, "
    "neither can the model: turn the strength down.",
    "predicted": "Each dot is a sample that was held back; on the dashed line the answer is exact.",
    "residuals": "Errors should be a level band around zero. A slope or a funnel is something still to be learnt.",
    "boundary": "The colour is what the model answers at every point, paler where it is less sure.",
    "progress": "The same random numbers, or the same pictures, drawn again and again while it learns.",
    "written": "At each evaluation it goes on with the same words, which it has never read, with the same random numbers: first "
    "noise, then letters that form words, then words that form sentences.",
    "series": "What is learnt from, and what the weights are chosen by. If the later part is unlike anything before, no forecast "
    "of it can be trusted.",
    "forecasts": "Grey is what was and what came. For each a window of middling error on the left, the worst on the right: is it "
    "the model that is wrong, or did something happen that nothing announced?",
    "ahead": "How the error grows the further ahead it is. Where it is not below both dashed lines, that far ahead nothing "
    "was learnt.",
    "attention": "What a place of a text takes from other places, the stronger the colour the more. Heads differ: one looks at "
    "the word before, another at full stops, another at what a word goes with. It shows what the layers do, not always why "
    "the answer is what it is.",
    "looks": "Before each token of the reference the model looked where the row is strong: words that mean the same, mostly.",
    "sweep": "Each rate was tried for a few steps; the best lies where the loss falls fastest, before it explodes.",
}

UNLABELLED = "Training samples as they are stored: all that the model sees of them."

SEVERAL_LOSSES = (
    "What training makes small, and what it is made up of: one of them may rise for a while where another falls by more. "
    "Where validation rises and training still falls, it learns by heart."
)

COMPETING = "The losses of networks that compete. None should sink to zero: the other one would have nothing left to learn from."


def some(names: Sequence[str], most: int = 4) -> str:
    """Names in a sentence: `a, b and c`, `a, b, c, d and 16 more`."""
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def meaning(metric: str, output: Output | None = None) -> str:
    """One sentence on a metric; empty for one that is not known here."""
    name = plain(metric.partition("/")[0])
    if isinstance(output, Tokens) and name in OF_TOKENS:
        return OF_TOKENS[name]
    if isinstance(output, Labels) and name in OF_LABELS:
        return OF_LABELS[name]
    if isinstance(output, Horizon):
        return (OF_ONE if "/" in metric else SCALED).get(name, METRICS.get(name, ""))
    return METRICS.get(ALIASES.get(name, name), "")


def caption(picture: str) -> str:
    """One sentence on how to read a picture; empty where it speaks for itself."""
    return PICTURES.get(picture, "")


def beside(rival: Rival | None, goal: str, better: str, metrics: Mapping[str, float]) -> str:
    """What a cheap method of another kind reaches, as a further sentence of the headline."""
    if rival is None or goal not in rival.metrics or goal not in metrics:
        return ""
    cheap, own = rival.metrics[goal], metrics[goal]
    fitted = ", fitted in seconds on the same data," if rival.fitted else ""
    said = f" {rival.method[:1].upper()}{rival.method[1:]}{fitted} reaches {words(goal)} {shown(goal, cheap)}"
    ahead = cheap >= own if better == "max" else cheap <= own
    return f"{said}: no worse than this network." if ahead else f"{said}."


def headline(
    output: Output,
    metrics: Mapping[str, float],
    baseline: Mapping[str, float],
    samples: int,
    *,
    data: str = "the data",
    train: int = 0,
    trivial: str = "",
) -> str:
    """What was learnt, in one or two sentences.

    `samples` is how many were held back, `train` how many were learnt from; `trivial` is the answer that the baseline
    always gives.
    """
    score = {plain(name): value for name, value in metrics.items()}
    base = {plain(name): value for name, value in baseline.items()}
    held_out = f"{several(samples, 'sample')} that it was not trained on"
    if isinstance(output, Category) and "accuracy" in score:
        said = f"Tells {output.width} classes apart: right for {shown('accuracy', score['accuracy'])} of {held_out}."
        if "accuracy" not in base:
            return said
        always = f"always answering '{trivial}'" if trivial else "always giving the commonest answer"
        gain = " Nothing was learnt beyond that." if score["accuracy"] <= base["accuracy"] else ""
        return f"{said[:-1]}; {always} would be right for {percent(base['accuracy'], 0)}.{gain}"
    if "distance" in score:
        said = f"Draws new samples like the {train:,} of {data}: distance {number(score['distance'], 3)} from real ones"
        return said + (
            f"; noise with their mean and covariance: {number(base['distance'], 3)}." if "distance" in base else "."
        )
    if isinstance(output, Boxes) and "ap50" in score:
        said = (
            f"Finds {some(output.names)} in pictures: AP50 {number(score['ap50'], 3)} on "
            f"{several(samples, 'picture')} held back"
        )
        return said + ("." if "ap50" not in base else f"; the trivial answer reaches {number(base['ap50'], 2)}.")
    if isinstance(output, Mask) and "miou" in score:
        said = f"Names the class of each pixel, of {output.width}: mean IoU {percent(score['miou'])} on "
        said += several(samples, "picture")
        return said + (
            " held back."
            if "miou" not in base
            else f" held back; naming the commonest everywhere gives {percent(base['miou'])}."
        )
    if isinstance(output, Tokens) and {"accuracy", "perplexity"} <= score.keys():
        said = (
            f"Names {percent(score['accuracy'])} of the tokens that {'are hidden' if output.hidden else 'come next'}, "
        )
        said += f"as unsure as a guess among {number(score['perplexity'], 3)}"
        if "accuracy" not in base or "perplexity" not in base:
            return f"{said}."
        return (
            f"{said}; who knows only how common each is names {percent(base['accuracy'])} and guesses among "
            f"{number(base['perplexity'], 3)}."
        )
    if isinstance(output, Labels) and "accuracy" in score:
        by, each = "f1" if "f1" in score else "accuracy", several(samples, "sentence")
        said = f"Labels words, {output.width} labels: {words(by)} {shown(by, score[by])} on {each} held back"
        often = (
            "" if by not in base else f"; giving each word the label that it mostly has reaches {shown(by, base[by])}"
        )
        return f"{said}{often}."
    if "word_error_rate" in score:
        rate = shown("word_error_rate", score["word_error_rate"])
        whole = f"; {percent(score['exact'])} are written without a mistake" if "exact" in score else ""
        return (
            f"Writes what is said: {rate} of the words are wrong, in {several(samples, 'recording')} held back{whole}."
        )
    if "bleu" in score:
        said = f"Answers texts with texts: BLEU {number(score['bleu'], 3)} on {held_out}"
        return said + (f"; giving the text back as it is reaches {number(base['bleu'], 2)}." if "bleu" in base else ".")
    episode = next((name for name in ("return", "mean_return") if name in score), "")
    if episode:
        said = f"Reaches a mean return of {number(score[episode], 4)} an episode in {data}"
        return said + (f"; acting at random reaches {number(base[episode], 3)}." if episode in base else ".")
    if isinstance(output, Horizon) and "mse" in score:
        said = f"Forecasts {some(output.names)}, {several(output.length, 'moment')} ahead: MSE {number(score['mse'], 3)}, MAE "
        said += f"{number(score['mae'], 3)} in deviations on {several(samples, 'window')} held back"
        return said + (
            "." if "mse" not in base else f"; repeating the last value would give MSE {number(base['mse'], 3)}."
        )
    error = next((name for name in ("mae", "rmse") if name in score), "")
    if error and not isinstance(output, Nothing | Action):
        names = ", ".join(getattr(output, "names", ())) or "the target"
        kind = "on average" if error == "mae" else "typically"
        said = f"Predicts {names}, {kind} {number(score[error], 3)} off for {held_out}"
        if error in base:
            always = f"always answering {trivial}" if trivial else "always answering the mean"
            said += f"; {always} would be {number(base[error], 3)} off"
        return said + "."
    if score:
        name, value = next(iter(score.items()))
        said = f"Reaches {words(name)} {shown(name, value)}"
        compared = f"; the trivial answer reaches {shown(name, base[name])}" if name in base else ""
        return f"{said}{compared}."
    amount = f"{several(train, 'sample')} of " if train else ""
    return f"Learnt from {amount}{data}; the pictures below show what it makes of them."
