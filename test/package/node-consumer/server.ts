/** A backend that runs the signaling server inside its own process. */
import { createSignalingServer } from 'grainmesh/signaling-server'
import type { SignalingServer, SignalingServerOptions } from 'grainmesh/signaling-server'

const options: SignalingServerOptions = {
  contacts: 4,
  authenticate: ({ token }) => token === 'secret' || 'wrong token',
}

/** Runs `use` with the URL of a server. */
export async function serve<T>(use: (url: string) => Promise<T>): Promise<T> {
  const server: SignalingServer = createSignalingServer()
  const { url } = await server.listen(0)
  try {
    return await use(url)
  } finally {
    await server.close()
  }
}

export async function run(): Promise<number> {
  const server: SignalingServer = createSignalingServer(options)
  const { port } = await server.listen(0)
  const { ok } = (await (await fetch(`http://127.0.0.1:${port}/healthz`)).json()) as { ok: boolean }
  await server.close()
  return ok ? port : 0
}
