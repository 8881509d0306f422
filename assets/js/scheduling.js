// When things run: at most once a frame, or one at a time.

/**
 * `fn`, at most once a frame: at once if it has not run in this frame, else at the start of the next, so that nothing
 * waits for a frame without need and no last value is lost.
 * @param {() => void} fn
 */
export function oncePerFrame(fn) {
  let resting = false;
  let again = false;
  const run = () => {
    resting = true;
    again = false;
    requestAnimationFrame(() => {
      resting = false;
      if (again) run();
    });
    fn();
  };
  return () => {
    if (resting) again = true;
    else run();
  };
}

/**
 * `task`, one run at a time: asked again while it runs, it runs once more when it is done. What it reads then is the
 * newest, so that every answer is shown and none that is shown last is stale.
 * @param {() => Promise<void>} task
 */
export function oneAtATime(task) {
  let busy = false;
  let again = false;
  return async () => {
    again = true;
    if (busy) return;
    busy = true;
    try {
      while (again) {
        again = false;
        await task();
      }
    } finally {
      busy = false;
    }
  };
}
