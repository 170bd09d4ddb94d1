"""What the models' data and scores are; no framework."""

from __future__ import annotations

import numpy as np
import pytest

from shipworthy.models import cartpole, digits, gan, language, policy, recommender, unet


def test_a_sentence_means_its_last_colour():
    words, meanings = language.sentences(np.random.default_rng(0), 500, 20)
    assert words.shape == (500, 20)
    assert words.min() == 0
    assert words.max() == language.WORDS - 1
    for row, meaning in zip(words.tolist(), meanings.tolist(), strict=True):
        length = max(i for i, word in enumerate(row) if word) + 1
        assert language.SHORTEST <= length <= 20
        assert 0 not in row[:length]  # padding stands behind only
        assert [word for word in row if 1 <= word <= language.COLOURS][-1] == meaning + 1
    assert (words[0] != 0).all()
    assert np.bincount(meanings).min() > 90


def test_the_order_of_words_matters():
    words, meanings = language.sentences(np.random.default_rng(1), 500, 20)
    # The best guess from what occurs: the colour that occurs most.
    counts = np.stack([(words == colour).sum(axis=1) for colour in range(1, 5)], axis=1)
    assert np.mean(counts.argmax(axis=1) == meanings) < 0.6


def test_feedback_keeps_the_test_back():
    taken, test = recommender.feedback()
    users, items, labels = test.T
    assert taken.shape == (200, 300)
    assert not taken[users, items].any()
    assert (taken.sum(axis=1) == 43).all()
    assert np.bincount(labels).tolist() == [400, 400]
    assert len(np.unique(test[:, :2], axis=0)) == 800


def test_roc_auc():
    taken = np.array([[1.0], [0.0], [1.0], [0.0]])
    assert recommender.roc_auc(np.array([[4.0], [1.0], [3.0], [2.0]]), taken) == 1
    assert recommender.roc_auc(np.array([[4.0], [1.0], [1.5], [2.0]]), taken) == 0.75
    assert recommender.roc_auc(np.array([[4.0], [1.0], [2.0], [2.0]]), taken) == 0.875
    assert np.isnan(recommender.roc_auc(np.full((4, 1), np.nan), taken))


def test_psnr():
    wanted = np.zeros((2, 1, 8, 8), np.float32)
    assert unet.psnr(wanted + np.float32(0.1), wanted) == pytest.approx(20)
    noisy, clean = unet.MODEL.sources["pytorch"].train.teach.test()
    assert 14 < unet.psnr(noisy, clean) < 15
    assert unet.MODEL.sources["pytorch"].train.recipe.required > unet.psnr(noisy, clean) + 2


def test_classifier_score():
    images = digits.load().test_images
    assert 6.9 < gan.classifier_score(images) < 7.2
    assert gan.classifier_score(images[:1].repeat(50, axis=0)) == pytest.approx(1)
    assert gan.classifier_score(np.full((50, 64), 0.5)) == pytest.approx(1)
    threes = images[digits.load().test_labels == 3]
    assert gan.classifier_score(threes) < 1.7
    assert gan.classifier_score(images.reshape(-1, 8, 8, 1)) == gan.classifier_score(images)
    assert np.isnan(gan.classifier_score(np.full((2, 64), np.nan)))


def test_advantages_are_discounted_sums_of_surprises():
    rng = np.random.default_rng(0)
    value = rng.random((6, 2)).astype(np.float32)
    last = rng.random(2).astype(np.float32)
    falls = np.zeros((6, 2), bool)
    falls[3, 0] = True
    found = cartpole._advantages(value, falls, last)
    following = np.concatenate([value[1:], last[None]])
    surprise = 0.01 + 0.99 * following * ~falls - value
    for pole, ends in ((0, (4, 6)), (1, (6,))):
        start = 0
        for end in ends:
            for i in range(start, end):
                weights = (0.99 * 0.95) ** np.arange(end - i)
                expected = (weights * surprise[i:end, pole]).sum()
                assert found[i, pole] == pytest.approx(expected, rel=1e-4)
            start = end


def lean(observations):
    """Push to where the pole falls: a policy that balances it."""
    return (observations @ np.array([0.1, 0.3, 1.5, 1.0]) > 0).astype(np.int64)


def test_mean_return_tells_policies_apart():
    assert cartpole.mean_return(lambda seen: np.zeros(len(seen), np.int64), 20) < 12
    assert cartpole.mean_return(lean, 20) == 500


def test_distilled_return_replays_a_linear_policy():
    (observations,) = policy.MODEL.sources["pytorch"].task.inputs().values()
    right = np.eye(2, dtype=np.float32)[lean(observations)]
    assert policy.distilled_return(right) > 450
    assert policy.distilled_return(-right) < 20
    assert policy.distilled_return(np.roll(right, 1, axis=0)) < 200
    assert np.isnan(policy.distilled_return(right * np.float32(np.nan)))


def test_a_game_goes_on_after_a_fall():
    game = cartpole.Game(seed=0)

    def push_right(seen):
        return np.tile(np.float32([-50, 50]), (len(seen), 1)), np.zeros((len(seen), 1), np.float32)

    seen, push, chance, advantage, earned = game.play(push_right, np.random.default_rng(0))
    assert {len(array) for array in (seen, push, chance, advantage, earned)} == {1024}
    assert push.all()
    assert chance == pytest.approx(0)
    assert 8 < np.mean(game.returns) < 12
    assert game.recent_return() < 12
    assert abs(seen[:, 2]).max() < 0.21  # no pole is seen that has fallen
