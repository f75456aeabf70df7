/** A page's connection to the room of `bench/support/hub.ts`. */

export interface HubMessage {
  readonly from: string
  /** What the message is about; `newcomer` comes from the room itself. */
  readonly topic: string
  readonly data?: unknown
}

export interface Hub {
  readonly id: string
  send(message: { readonly to: string; readonly topic: string; readonly data: unknown }): void
  onMessage: (message: HubMessage) => void
}

export async function openHub(room: string, id: string): Promise<Hub> {
  const socket = new WebSocket(`ws://${location.host}/hub?room=${room}&id=${id}`)
  const hub: Hub = {
    id,
    send: (message) => socket.send(JSON.stringify({ from: id, ...message })),
    onMessage: () => undefined,
  }
  socket.addEventListener('message', ({ data }) => hub.onMessage(JSON.parse(String(data)) as HubMessage))
  await new Promise((resolve) => socket.addEventListener('open', resolve))
  return hub
}
