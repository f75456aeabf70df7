/**
 * The next task: as soon as what runs now and its microtasks are done. No timer, so a hidden tab does not make it wait:
 * a message to oneself takes some hundredths of a millisecond, also where a timer takes a second.
 */
export type NextTask = (run: () => void) => void

/** The platform's way, chosen at the first use: `setImmediate` in Node, a MessageChannel in browsers. */
export function createNextTask(): NextTask {
  let post: (() => void) | undefined
  let waiting: (() => void)[] = []

  const runAll = () => {
    const due = waiting
    // what these ask for comes in the task after this one
    waiting = []
    for (const run of due) run()
  }

  return (run) => {
    waiting.push(run)
    if (waiting.length > 1) return
    post ??= createPost(runAll)
    post()
  }
}

function createPost(runAll: () => void): () => void {
  const { setImmediate } = globalThis as { readonly setImmediate?: (run: () => void) => unknown }
  // a MessageChannel keeps a Node process alive, and is slower there
  if (typeof setImmediate === 'function') return () => void setImmediate(runAll)
  if (typeof MessageChannel !== 'function') return () => void setTimeout(runAll, 0)
  const { port1, port2 } = new MessageChannel()
  port1.addEventListener('message', runAll)
  port1.start()
  return () => port2.postMessage(null)
}
