"""The statements that are checked: id, numbers in both versions of the paper, what they say."""

from __future__ import annotations

from typing import NamedTuple


class Statement(NamedTuple):
    """A statement of the paper.

    Attributes
    ----------
    arxiv, jmlr : str
        Its number in arXiv 2202.07626 and in JMLR 24(303).
    text : str
        What is compared, in the paper's symbols.
    """

    arxiv: str
    jmlr: str
    text: str


# id -> statement, in the order of the paper's argument. An id is that of the statement and, where
# it has several parts or inner steps, a word or the equation's number.
TABLE: dict[str, Statement] = {
    "lemma_4_1_a": Statement("Lemma 4.1", "3", "| |w_j^0| / (omega sqrt d) - 1 | <= 1/2"),
    "lemma_4_1_b_mu1": Statement("Lemma 4.1", "3", "neurons with |<w_j^0, mu1>| >= omega/(2 C0)"),
    "lemma_4_1_b_mu2": Statement("Lemma 4.1", "3", "neurons with |<w_j^0, mu2>| >= omega/(2 C0)"),
    "lemma_4_2": Statement("Lemma 4.2", "4", "each |J_mu| >= (m/4)(1 - 1/C0)^2"),
    "lemma_4_2_sum": Statement("Lemma 4.2", "4", "|J| >= m (1 - 1/C0)^2"),
    "lemma_4_3_a_own": Statement("Lemma 4.3(a)", "5", "<x_i, mu> >= 1 - C1 sigma sqrt d"),
    "lemma_4_3_a_other": Statement("Lemma 4.3(a)", "5", "|<x_i, mu'>| <= C1 sigma sqrt d"),
    "lemma_4_3_a_orthogonal": Statement(
        "Lemma 4.3(a)", "5", "|<x_i, v>| <= C1 sigma sqrt d for every unit v orthogonal to mu"
    ),
    "lemma_4_3_b": Statement("Lemma 4.3(b)", "5", "|x_i - mu|^2 <= C1 sigma^2 d"),
    "lemma_4_3_c": Statement("Lemma 4.3(c)", "5", "|N|/n <= eta + C1 sqrt(log(1/delta)/n)"),
    "lemma_4_3_d": Statement("Lemma 4.3(d)", "5", "| |I_mu|/n - 1/4 | <= C1 sqrt(log(1/delta)/n)"),
    "lemma_4_4": Statement(
        "Lemma 4.4", "6", "clean samples of mu minus of -mu on which w_j^0 is active >= n/C2"
    ),
    "definition_4_5": Statement("Definition 4.5", "7", "good run: parts of 4.1-4.4 that fail"),
    "lemma_A_1_neurons": Statement("Lemma A.1(1)", "14", "|w_j^t| <= 2 |a_j| alpha t"),
    "lemma_A_1_norm": Statement("Lemma A.1(2)", "14", "|W^t|_F <= 2 alpha t"),
    "equation_16": Statement("(16)", "(16)", "|f(x_i; W)| <= |W|_2 |x_i|"),
    "lemma_4_6": Statement("Lemma 4.6", "8", "y~_i f(x_i; W^T) >= 1/(2 Cf)"),
    "lemma_4_6_norm": Statement(
        "Lemma 4.6", "8", "|f^Jc(x_i; W^T)| <= sqrt(|Jc|/m) |W_Jc|_F |x_i|"
    ),
    "condition_4_7": Statement("Condition 4.7", "9", "share of J that is aligned, t = 1..T-1"),
    "condition_4_8": Statement("Condition 4.8", "10", "|<w_j^t, mu'>| <= 3 alpha |a_j|, t = 0..T"),
    "lemma_4_9_norm": Statement("Lemma 4.9", "11", "|W^T|_F <= 1"),
    "lemma_4_9_clean": Statement("Lemma 4.9", "11", "y_i f^J(x_i; W^T) >= 1/C3, i clean"),
    "lemma_4_9_noisy": Statement("Lemma 4.9", "11", "y_i f^J(x_i; W^T) <= -1/C3, i noisy"),
    "equation_17": Statement("(17)", "(17)", "g_i^t >= e^-2/2, t = 0..T-1"),
    "equation_18": Statement("(18)", "(18)", "<w_j^(t+1) - w_j^t, mu> >= alpha |a_j| e^-2/64"),
    "equation_20": Statement("(20)", "(20)", "|f^J(mu; W^T)| >= e^-2 (1 - 1/C0)^2/2048"),
    "lemma_4_10_alignment": Statement("Lemma 4.10", "12", "share of J that is aligned at t = 1"),
    "lemma_4_10_correlation": Statement(
        "Lemma 4.10", "12", "<w_j^1, mu>/|w_j^1| >= 1/(16 C2), j in J_mu"
    ),
    "equation_23": Statement("(23)", "(23)", "|f(x_i; W^0)| <= 3 omega sqrt(md)"),
    "equation_24": Statement("(24)", "(24)", "|zeta1_j| <= C1 alpha |a_j| sigma sqrt d"),
    "equation_26": Statement("(26)", "(26)", "|zeta2_j| <= alpha |a_j| omega sqrt(md)"),
    "equation_28": Statement("(28)", "(28)", "w_j^1 - w_j^0 is the signal + zeta1_j + zeta2_j"),
    "equation_31": Statement("(31)", "(31)", "sgn(a_j) (N_mu(j) - N_-mu(j)) >= n/(2 C2)"),
    "equation_32": Statement("(32)", "(32)", "<w_j^1 - w_j^0, mu> >= alpha |a_j|/(8 C2)"),
    "equation_34_own": Statement("(34)", "(34)", "<w_j^1, x_i>/|w_j^1| >= 1/(32 C2), i in I_mu"),
    "equation_34_opposite": Statement(
        "(34)", "(34)", "<w_j^1, x_i>/|w_j^1| <= -1/(32 C2), i in I_-mu"
    ),
    "lemma_4_11_alignment": Statement("Lemma 4.11", "13", "share of J aligned at t = 1..T-1"),
    "lemma_4_11_orthogonality": Statement(
        "Lemma 4.11", "13", "|<w_j^t, mu'>| <= 3 alpha |a_j|, t = 0..T-1"
    ),
    "equation_38": Statement("(38)", "(38)", "<w_j^t, mu>/|w_j^t| >= e^-2/256, t = 2..T"),
    "equation_41": Statement(
        "(41)", "(41)", "where |<w_j^t, mu'>| >= alpha |a_j|: the clean of +-mu' on, of -+mu' off"
    ),
    "equation_42": Statement(
        "(42)", "(42)", "where |<w_j^t, mu'>| >= alpha |a_j|: it moves towards 0"
    ),
    "equation_43": Statement("(43)", "(43)", "|<w_j^(t+1) - w_j^t, mu'>| <= 2 alpha |a_j|"),
    "theorem_3_1_1": Statement("Theorem 3.1(1)", "1", "clean wrong + noisy fitted = 0 at T"),
    "theorem_3_1_1_clean": Statement("Theorem 3.1(1)", "1", "clean samples wrong at T = 0"),
    "theorem_3_1_1_noisy": Statement("Theorem 3.1(1)", "1", "noisy samples fitted at T = 0"),
    "equation_45": Statement("(45)", "(45)", "y~_i f(x_i; W^T) >= gamma = e^-2/16384"),
    "theorem_3_1_2": Statement(
        "Theorem 3.1(2)", "1", "test error at T <= eta + C sqrt(log(1/delta)/n)"
    ),
    "theorem_3_1_2_proof": Statement(
        "Theorem 3.1(2)", "1", "test error <= |N|/n + Rademacher term + sqrt(2 log(2/delta)/n)"
    ),
    "proposition_3_2": Statement(
        "Proposition 3.2", "2", "relative change of the feature map >= 1/(C omega sqrt(md))"
    ),
    "equation_48": Statement("(48)", "(48)", "<w_j^T - w_j^0, mu> >= |a_j| e^-2/256"),
    "equation_53": Statement(
        "(53)", "(53)", "|relu(W^T x_i) - relu(W^0 x_i)|^2 >= e^-4/(8 1024^2)"
    ),
    "proposition_3_2_denominator": Statement(
        "Proposition 3.2", "2", "|relu(W^0 x_i)| <= 3 omega sqrt(md)"
    ),
    "proposition_B_1": Statement(
        "Proposition B.1", "15", "Rademacher complexity <= 2 R sqrt(mean |x_i|^2)/sqrt n"
    ),
    "proposition_B_1_expected": Statement(
        "Proposition B.1", "15", "Rademacher complexity <= 2 R sqrt(1 + sigma^2 d)/sqrt n"
    ),
}

# The ids of all statements.
STATEMENTS: tuple[str, ...] = tuple(TABLE)
