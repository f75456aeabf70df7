import http from 'node:http'

/**
 * Vite plugin: the signaling server at the dev server's own address, as `npm start` has it.
 * @returns {import('vite').Plugin}
 */
export function signalingInDev() {
  return {
    name: 'grainmesh-signaling',
    apply: 'serve',
    async configureServer(server) {
      // Vitest has a Vite server too, without an address
      if (!server.httpServer || server.config.server.middlewareMode) return
      const { createSignalingServer } = await server.ssrLoadModule('/signaling-server/index.ts')
      // never listens; keeps the signaling server from seeing the sockets that Vite itself uses
      const entrance = http.createServer()
      const signaling = createSignalingServer({ server: entrance })
      server.httpServer.on('upgrade', (request, socket, head) => {
        if (String(request.headers['sec-websocket-protocol'] ?? '').startsWith('vite-')) return
        entrance.emit('upgrade', request, socket, head)
      })
      server.httpServer.on('close', () => void signaling.close())
    },
  }
}
