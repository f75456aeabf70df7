/**
 * Notes when a page reaches the stages of a join, by watching the platform that the library uses. To be given to
 * `addInitScript`: it stands alone, and runs before everything else in the page.
 */

/** What `window.stages` has: `performance.now()` when each stage was first reached. */
export type Stages = Record<string, number>

/** In the order in which a join usually reaches them. */
export const STAGES = [
  'storage asked for',
  'storage open',
  'lock asked for',
  'lock held',
  'key made',
  'identity committed',
  'snapshot read',
  'socket asked for',
  'socket open',
  'admitted by signaling',
  'connection made',
  'description sent',
  'description received',
  'ICE connected',
  'DTLS connected',
  'channel open',
  'frame received',
  'proof signed',
  'proof verified',
] as const

declare global {
  interface Window {
    stages: Stages
    /** `performance.now()` of the last snapshot handed to IndexedDB; 0 before the first. */
    snapshotAt: number
  }
}

export function noteStages(): void {
  const stages: Stages = {}
  const reach = (stage: string): void => void (stages[stage] ??= performance.now())
  Object.assign(window, { stages, snapshotAt: 0 })

  /** Puts `around` in the place of a method; `around` is given the method, bound. */
  const wrap = <T extends object, K extends keyof T>(
    target: T,
    name: K,
    around: (method: (...args: never[]) => unknown, args: readonly unknown[]) => unknown,
  ): void => {
    const native = target[name] as (...args: never[]) => unknown
    const replacement = function (this: unknown, ...args: unknown[]): unknown {
      return around((...given) => native.apply(this, given), args)
    }
    target[name] = replacement as T[K]
  }
  const call = (method: (...args: never[]) => unknown, args: readonly unknown[]): unknown =>
    method(...(args as never[]))
  const kindOf = (key: unknown): unknown => (Array.isArray(key) ? key[0] : undefined)

  wrap(IDBFactory.prototype, 'open', (method, args) => {
    reach('storage asked for')
    const request = call(method, args) as IDBOpenDBRequest
    request.addEventListener('success', () => reach('storage open'))
    return request
  })
  wrap(IDBObjectStore.prototype, 'put', (method, args) => {
    const request = call(method, args) as IDBRequest
    const kind = kindOf(args[1])
    if (kind === 'snapshot') window.snapshotAt = performance.now()
    if (kind === 'identity')
      request.transaction?.addEventListener('complete', () => reach('identity committed'))
    return request
  })
  wrap(IDBObjectStore.prototype, 'get', (method, args) => {
    const request = call(method, args) as IDBRequest
    if (kindOf(args[0]) === 'snapshot') request.addEventListener('success', () => reach('snapshot read'))
    return request
  })
  wrap(LockManager.prototype, 'request', (method, args) => {
    reach('lock asked for')
    const granted = args.at(-1) as (lock: unknown) => unknown
    const noted = (lock: unknown): unknown => {
      if (lock) reach('lock held')
      return granted(lock)
    }
    return call(method, [...args.slice(0, -1), noted])
  })

  const done = (method: keyof SubtleCrypto, stage: string, ifSo: () => boolean = () => true): void =>
    wrap(SubtleCrypto.prototype, method, async (native, args) => {
      const result = await call(native, args)
      if (ifSo()) reach(stage)
      return result
    })
  done('generateKey', 'key made')
  // keys are also tried out where they come from storage
  const linked = (): boolean => stages['frame received'] !== undefined
  done('sign', 'proof signed', linked)
  done('verify', 'proof verified', linked)

  window.WebSocket = class extends WebSocket {
    constructor(url: string | URL, protocols?: string | string[]) {
      super(url, protocols)
      reach('socket asked for')
      this.addEventListener('open', () => reach('socket open'))
      this.addEventListener('message', ({ data }) => {
        const text = String(data)
        if (text.includes('"welcome"')) reach('admitted by signaling')
        else if (text.includes('sdp')) reach('description received')
      })
    }

    override send(data: string): void {
      super.send(data)
      if (data.includes('sdp')) reach('description sent')
    }
  }

  window.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(config?: RTCConfiguration) {
      super(config)
      reach('connection made')
      this.addEventListener('iceconnectionstatechange', () => {
        if (this.iceConnectionState === 'connected' || this.iceConnectionState === 'completed')
          reach('ICE connected')
      })
      this.addEventListener('connectionstatechange', () => {
        if (this.connectionState === 'connected') reach('DTLS connected')
      })
      super.addEventListener('datachannel', ({ channel }) => watchChannel(channel))
    }

    override createDataChannel(label: string, init?: RTCDataChannelInit): RTCDataChannel {
      const channel = super.createDataChannel(label, init)
      watchChannel(channel)
      return channel
    }
  }

  function watchChannel(channel: RTCDataChannel): void {
    if (channel.readyState === 'open') reach('channel open')
    channel.addEventListener('open', () => reach('channel open'))
    channel.addEventListener('message', () => reach('frame received'))
  }
}
