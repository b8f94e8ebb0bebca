"""When a run is evaluated."""

# Examples that 'auto' evaluates before the first step. A CPU evaluates so many small images in seconds;
# CIFAR's 60,000 would take minutes, for a network that has learned nothing yet.
START_AT_MOST = 10_000


def starts_measured(wish: str, num_examples: int) -> bool:
    """Whether the parameters that a run begins with are evaluated.

    Args:
      wish: `config.evaluate_start`: 'always', 'never', or 'auto': up to `START_AT_MOST` examples.
      num_examples: of all splits.

    Returns:
      Whether there is a row of step 0.

    Example:
      >>> starts_measured("auto", 1_797), starts_measured("auto", 60_000), starts_measured("always", 60_000)
      (True, False, True)
    """
    return wish == "always" or (wish == "auto" and num_examples <= START_AT_MOST)


def due(step: int, total_steps: int, every: int, at_start: bool) -> bool:
    """Whether a state is evaluated.

    Args:
      step: of the state.
      total_steps: of the run, whose end is always evaluated.
      every: steps from one evaluation to the next.
      at_start: whether step 0 is evaluated.

    Example:
      >>> [step for step in range(8) if due(step, total_steps=7, every=3, at_start=False)]
      [3, 6, 7]
    """
    if step == 0:
        return at_start
    return step == total_steps or step % every == 0
