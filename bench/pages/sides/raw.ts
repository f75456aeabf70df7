/** A data channel of the browser, with nothing around it. */
import { pumpChannel, type Side, type Wire } from './side.ts'

interface Signal {
  readonly description?: RTCSessionDescriptionInit
  readonly candidate?: RTCIceCandidateInit | null
}

export async function openRaw(wire: Wire, isInitiator: boolean): Promise<Side> {
  const connection = new RTCPeerConnection()
  connection.onicecandidate = ({ candidate }) => wire.send({ candidate: candidate?.toJSON() ?? null })
  const describe = async (): Promise<void> => {
    await connection.setLocalDescription()
    wire.send({ description: connection.localDescription?.toJSON() })
  }
  // one at a time: a candidate must not overtake the description
  let last = Promise.resolve()
  wire.onSignal = (data) => {
    const { description, candidate } = data as Signal
    last = last.then(async () => {
      if (description) {
        await connection.setRemoteDescription(description)
        if (description.type === 'offer') await describe()
      } else if (candidate) await connection.addIceCandidate(candidate)
    })
  }
  const channel = isInitiator
    ? connection.createDataChannel('bench')
    : await new Promise<RTCDataChannel>((resolve) => {
        connection.ondatachannel = (event) => resolve(event.channel)
      })
  channel.binaryType = 'arraybuffer'
  if (isInitiator) await describe()
  if (channel.readyState !== 'open') await new Promise((resolve) => channel.addEventListener('open', resolve))
  const side: Side = {
    send: (bytes) => channel.send(bytes),
    pump: (next, size, lane) => pumpChannel(channel, (bytes) => channel.send(bytes), next, size, lane),
    onMessage: () => undefined,
  }
  channel.addEventListener('message', ({ data }) => side.onMessage(new Uint8Array(data as ArrayBuffer)))
  return side
}
