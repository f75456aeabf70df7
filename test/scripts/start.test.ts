import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { root } from '../../scripts/support/paths.mjs'

const children = new Set<ChildProcess>()

afterEach(() => {
  for (const child of children) child.kill('SIGKILL')
  children.clear()
})

describe('npm start', () => {
  it('serves the demo and the signaling server at one address until it is interrupted', async () => {
    const { child, seen } = start('--port', '0')
    const [address] = await seen(/http:\/\/127\.0\.0\.1:\d+\//)
    const page = await (await fetch(address)).text()
    expect(page).toContain('<!doctype html>')
    const script = /<script[^>]+src="([^"]+)"/.exec(page)?.[1] ?? 'no script'
    expect((await fetch(new URL(script, address))).headers.get('content-type')).toMatch(/^text\/javascript/)

    const socket = new WebSocket(address.replace('http', 'ws'))
    await once(socket, 'open')
    child.kill('SIGINT')
    const [[code], [closeCode]] = await Promise.all([once(child, 'exit'), once(socket, 'close')])
    expect({ code, closeCode }).toEqual({ code: 0, closeCode: 4503 })
  })

  it('says that a port asked for is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    const { port } = other.address() as AddressInfo
    const { child, seen } = start('--port', String(port))
    const [[code]] = await Promise.all([once(child, 'exit'), seen(new RegExp(`Port ${port} is taken`))])
    expect(code).toBe(1)
    other.close()
  })

  it.each(['--port many', '--port 70000', '--prot 1', '8080'])('refuses %s', async (args) => {
    const { child, seen } = start(...args.split(' '))
    const [[code]] = await Promise.all([once(child, 'exit'), seen(/Usage: npm start/)])
    expect(code).toBe(1)
  })
})

/** Starts the server; `seen` resolves with what its output matches, and rejects if it ends without. */
function start(...args: readonly string[]): {
  child: ChildProcess
  seen(pattern: RegExp): Promise<RegExpExecArray>
} {
  const child = spawn(process.execPath, ['scripts/start.mjs', ...args], { cwd: root })
  children.add(child)
  let output = ''
  const seen = (pattern: RegExp): Promise<RegExpExecArray> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        const match = pattern.exec(output)
        if (match) resolve(match)
      }
      for (const stream of [child.stdout, child.stderr]) {
        stream.on('data', (chunk: Buffer) => {
          output += chunk.toString()
          look()
        })
      }
      child.once('close', () => {
        look()
        reject(new Error(`It ended without ${String(pattern)}:\n${output}`))
      })
    })
  return { child, seen }
}
