/**
 * Counts what a page holds of the platform, and lets a spec reach what the library keeps to itself. To be given to
 * `addInitScript`: it stands alone, and runs before everything else in the page.
 */
export interface Instruments {
  readonly connections: RTCPeerConnection[]
  readonly channels: RTCDataChannel[]
  readonly sockets: WebSocket[]
  /** Sockets are sent to a port that answers nobody while this is set. */
  noSockets: boolean
  /** What is held now. */
  held(): Held
}

export interface Held {
  readonly connections: number
  readonly sockets: number
  readonly workers: number
  readonly timeouts: number
  readonly intervals: number
  /** Listeners on window and document. */
  readonly listeners: number
}

declare global {
  interface Window {
    instruments: Instruments
  }
}

export function instrument(): void {
  const connections: RTCPeerConnection[] = []
  const channels: RTCDataChannel[] = []
  const sockets: WebSocket[] = []
  const workers = new Set<Worker>()
  const timeouts = new Set<unknown>()
  const intervals = new Set<unknown>()
  const listeners = new Map<EventTarget, Map<string, unknown>>()
  const native = { setTimeout, clearTimeout, setInterval, clearInterval }

  const instruments: Instruments = {
    connections,
    channels,
    sockets,
    noSockets: false,
    held: () => ({
      connections: connections.filter(({ signalingState }) => signalingState !== 'closed').length,
      sockets: sockets.filter(({ readyState }) => readyState < WebSocket.CLOSING).length,
      workers: workers.size,
      timeouts: timeouts.size,
      intervals: intervals.size,
      listeners: [...listeners.values()].reduce((sum, { size }) => sum + size, 0),
    }),
  }

  class CountedConnection extends RTCPeerConnection {
    constructor(config?: RTCConfiguration) {
      super(config)
      connections.push(this)
      super.addEventListener('datachannel', ({ channel }) => channels.push(channel))
    }

    override createDataChannel(label: string, init?: RTCDataChannelInit): RTCDataChannel {
      const channel = super.createDataChannel(label, init)
      channels.push(channel)
      return channel
    }
  }

  class CountedSocket extends WebSocket {
    constructor(url: string | URL, protocols?: string | string[]) {
      super(instruments.noSockets ? 'ws://127.0.0.1:9/' : url, protocols)
      sockets.push(this)
    }
  }

  class CountedWorker extends Worker {
    constructor(url: string | URL, options?: WorkerOptions) {
      super(url, options)
      workers.add(this)
    }

    override terminate(): void {
      workers.delete(this)
      super.terminate()
    }
  }

  /** Names a listener as the platform does: the same one added twice is one. */
  const identities = new WeakMap<object, number>()
  let identity = 0
  const nameOf = (type: string, listener: object, options: unknown): string => {
    const capture =
      typeof options === 'object' && options !== null ? 'capture' in options && options.capture : options
    if (!identities.has(listener)) identities.set(listener, ++identity)
    return `${type} ${identities.get(listener)} ${Boolean(capture)}`
  }

  const count = (target: EventTarget): void => {
    const known = new Map<string, unknown>()
    listeners.set(target, known)
    const add = target.addEventListener.bind(target)
    const remove = target.removeEventListener.bind(target)
    target.addEventListener = (type: string, listener: EventListener, options?: AddEventListenerOptions) => {
      add(type, listener, options)
      const name = nameOf(type, listener, options)
      known.set(name, listener)
      if (typeof options === 'object') options.signal?.addEventListener('abort', () => known.delete(name))
    }
    target.removeEventListener = (type: string, listener: EventListener, options?: EventListenerOptions) => {
      remove(type, listener, options)
      if (listener) known.delete(nameOf(type, listener, options))
    }
  }
  count(window)
  count(document)

  const timer =
    (set: (run: () => void, delay?: number) => number, held: Set<unknown>, isOnce: boolean) =>
    (run: () => void, delay?: number): number => {
      const id = set(() => {
        if (isOnce) held.delete(id)
        run()
      }, delay)
      held.add(id)
      return id
    }
  const clear = (id: number | undefined): void => {
    timeouts.delete(id)
    intervals.delete(id)
    native.clearTimeout.call(window, id)
  }
  Object.assign(window, {
    instruments,
    RTCPeerConnection: CountedConnection,
    WebSocket: CountedSocket,
    Worker: CountedWorker,
    setTimeout: timer(
      (run, delay) => native.setTimeout.call(window, run, delay) as unknown as number,
      timeouts,
      true,
    ),
    setInterval: timer(
      (run, delay) => native.setInterval.call(window, run, delay) as unknown as number,
      intervals,
      false,
    ),
    clearTimeout: clear,
    clearInterval: clear,
  })
}
