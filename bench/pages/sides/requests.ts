/** Requests and responses over messages, the obvious way: an id goes out with the question and comes back. */

/** Asks the other tab for the same text back. */
export type Ask = (text: string) => Promise<unknown>

interface Request {
  readonly id: number
  readonly text: string
}

interface Response {
  readonly to: number
  readonly text: string
}

/**
 * Both ends of one connection: answers what comes, and asks.
 * @param send takes any value that JSON has
 * @param listen is given what is to be called with what comes
 */
export function requestsOver(
  send: (message: object) => void,
  listen: (onMessage: (message: unknown) => void) => void,
): Ask {
  const waiting = new Map<number, (text: string) => void>()
  let ids = 0
  listen((message) => {
    const { id, to, text } = message as Partial<Request & Response> & { readonly text: string }
    if (id !== undefined) return send({ to: id, text } satisfies Response)
    waiting.get(to!)?.(text)
    waiting.delete(to!)
  })
  return (text) =>
    new Promise((resolve) => {
      const id = ++ids
      waiting.set(id, resolve)
      send({ id, text } satisfies Request)
    })
}
