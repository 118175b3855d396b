"""What `make demo` runs in the environment it made: a function that Numba compiles, and a small boosted model."""

from __future__ import annotations

import numba
import numpy as np
import xgboost


@numba.njit  # type: ignore[untyped-decorator, unused-ignore]
def count_inside(points: np.ndarray) -> int:
    """How many points of the unit square lie inside the unit circle."""
    inside = 0
    for row in range(points.shape[0]):
        if points[row, 0] ** 2 + points[row, 1] ** 2 <= 1.0:
            inside += 1
    return inside


def main() -> None:
    """Estimate pi with Numba, fit a function with XGBoost, and say what each of them ran on."""
    generator = np.random.default_rng(0)
    points = generator.random((1_000_000, 2))
    print(f"numba {numba.__version__}: pi is about {4 * count_inside(points) / len(points):.3f}")

    features = generator.random((10_000, 4))
    target = features @ np.array([1.0, 2.0, 3.0, 4.0])
    device = "cuda" if xgboost.build_info()["USE_CUDA"] else "cpu"
    data = xgboost.DMatrix(features, label=target)
    model = xgboost.train({"device": device}, data, num_boost_round=50)
    error = float(np.abs(model.predict(data) - target).mean())
    print(f"xgboost {xgboost.__version__}: mean error {error:.3f} on {device}")


if __name__ == "__main__":
    main()
