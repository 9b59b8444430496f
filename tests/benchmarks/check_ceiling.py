"""Check a stored ceiling with NumPy alone:  python check_ceiling.py certificate.npz

It does not import poisonbench.  The notation is that of results/reference/ceiling.md.
"""

import sys

import numpy as np


def main(path):
    """Print the bound of the certificate and that of its proof; fail if the latter is larger."""
    file = np.load(path)
    get = {name: file[name] for name in file.files}
    m, theta_r, peak = float(get["multiplier"]), get["reference"], get["peak"]
    D = np.diag([1.0] * (len(theta_r) - 1) + [0.0])
    A = get["gram"] + get["l2"] * D
    C = get["matrix"] + get["loss_l2"] / 2 * D
    b, c, k, p = get["moment"], get["vector"], float(get["constant"]), float(get["n_poison"])

    # The largest residual of any legal point: max f over rows, column by column, group by group.
    def highest(theta):
        value = theta[-1] + np.maximum(theta[get["free"]], 0).sum()
        for columns, all_zero in zip(get["groups"], get["all_zero"], strict=True):
            best = theta[columns[columns >= 0]].max()
            value += max(best, 0.0) if all_zero else best
        return value

    R = max(highest(theta_r), 1 + highest(-theta_r))

    # L(theta) = W(theta) - m [(theta - theta_r).(A theta - b) + l1 |w|] is concave ...
    S = m * A - C
    lowest = np.linalg.eigvalsh(S)[0]
    budget = m * float(get["l1"]) - float(get["loss_l1"])
    assert lowest > -1e-12 * np.trace(S), "mA - C is not positive semidefinite"
    assert budget >= 0, "m is too small for the loss's l1 term"
    # ... so its maximum is at the peak but for what the gradient there leaves over.
    gradient = 2 * (C @ peak - c) - m * (2 * A @ peak - A @ theta_r - b)
    absorbed = np.append(np.clip(gradient[:-1], -budget, budget), 0.0)
    rest = np.linalg.norm(gradient - absorbed)
    # Weights are at most N / (8 l1) long, as the constant 1/2 has a loss of N/8; OLS: 1e6.
    l1, N = float(get["l1"]), float(get["n_rows"]) + p
    longest = (1 + np.sqrt(len(b))) * (N / (8 * l1) if l1 else 1e6) + np.linalg.norm(peak)
    left = rest * longest - min(lowest, 0.0) * longest**2
    if lowest > 0:
        left = min(left, rest**2 / (4 * lowest))
    value = (C @ peak - 2 * c) @ peak + k - m * (peak - theta_r) @ (A @ peak - b) - absorbed @ peak
    l1_r = m * l1 * np.abs(theta_r[:-1]).sum()
    bound = value + left + l1_r + m * p / 4 * R**2

    print(f"stored {float(get['bound']):.10g}, proved {bound:.10g}, R {R:.6g}, m {m:.6g}")
    if bound > float(get["bound"]) + 1e-6 * abs(bound):
        sys.exit("the certificate does not prove the stored bound")


if __name__ == "__main__":
    main(sys.argv[1])
