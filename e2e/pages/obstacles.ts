/** What keeps a tab from linking. To be given to `addInitScript`: each function stands alone, and runs before the page. */

export interface Severed {
  /** The tab's own name. */
  readonly name: string
  /** The name of the tab that it has no direct way to. Both must be told of each other. */
  readonly from: string
}

declare global {
  interface Window {
    /** Lets the connections go on that `holdConnections` holds. */
    letConnect(): void
  }
}

/**
 * Two tabs whose packets never reach each other: each puts its name into its offers and answers, and reads every address
 * of the other as one where nobody listens. However the offer came, ICE tries in vain, and fails as behind a firewall.
 */
export function sever({ name, from }: Severed): void {
  const nowhere = (text: string): string =>
    text.replaceAll(/(candidate:\S+ \d+ (?:udp|tcp) \d+ \S+) \d+ typ/gi, '$1 9 typ')

  class SeveredConnection extends RTCPeerConnection {
    #isSevered = false

    override get localDescription(): RTCSessionDescription | null {
      const description = super.localDescription
      if (!description) return null
      const { type, sdp } = description
      return new RTCSessionDescription({ type, sdp: sdp.replace(/^s=.*$/m, `s=${name}`) })
    }

    override async setRemoteDescription(description: RTCSessionDescriptionInit): Promise<void> {
      const { type, sdp = '' } = description
      this.#isSevered = new RegExp(`^s=${from}\r?$`, 'm').test(sdp)
      await super.setRemoteDescription(this.#isSevered ? { type, sdp: nowhere(sdp) } : description)
    }

    override async addIceCandidate(candidate?: RTCIceCandidateInit | null): Promise<void> {
      const text = candidate?.candidate
      const isPassed = !this.#isSevered || text === undefined
      await super.addIceCandidate(isPassed ? candidate : { ...init(candidate!), candidate: nowhere(text) })
    }
  }

  const init = ({ sdpMid, sdpMLineIndex }: RTCIceCandidateInit): RTCIceCandidateInit => ({
    sdpMid: sdpMid ?? null,
    sdpMLineIndex: sdpMLineIndex ?? null,
  })
  window.RTCPeerConnection = SeveredConnection
}

/** All connections but the first neither offer nor answer before `letConnect` is called. */
export function holdConnections(): void {
  let count = 0
  const released = new Promise<void>((resolve) => (window.letConnect = resolve))

  class HeldConnection extends RTCPeerConnection {
    readonly #isFirst = ++count === 1

    override setLocalDescription(description?: RTCLocalSessionDescriptionInit): Promise<void> {
      return this.#held(() => super.setLocalDescription(description))
    }

    override setRemoteDescription(description: RTCSessionDescriptionInit): Promise<void> {
      return this.#held(() => super.setRemoteDescription(description))
    }

    async #held(run: () => Promise<void>): Promise<void> {
      if (!this.#isFirst) await released
      await run()
    }
  }
  window.RTCPeerConnection = HeldConnection
}
