import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { serveFolders } from '../../scripts/static-files.mjs'

let folder = ''
let server: http.Server
let port = 0

beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'grainmesh-static-'))
  await mkdir(path.join(folder, 'site/assets'), { recursive: true })
  await mkdir(path.join(folder, 'pages'))
  await writeFile(path.join(folder, 'secret.txt'), 'secret')
  await writeFile(path.join(folder, 'site/.hidden'), 'secret')
  await writeFile(path.join(folder, 'site/index.html'), '<!doctype html>')
  await writeFile(path.join(folder, 'site/assets/main-B1a2C3d4.js'), 'export {}')
  await writeFile(path.join(folder, 'pages/tiny.html'), 'tiny')
  server = http.createServer(
    serveFolders({ '/': path.join(folder, 'site'), '/e2e/': path.join(folder, 'pages') }),
  )
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  port = (server.address() as AddressInfo).port
})

afterAll(async () => {
  server.closeAllConnections()
  server.close()
  await rm(folder, { recursive: true, force: true })
})

describe('serveFolders', () => {
  it('serves files with their types, and each folder under its path', async () => {
    expect(await get('/')).toMatchObject({
      status: 200,
      type: 'text/html; charset=utf-8',
      body: '<!doctype html>',
    })
    expect(await get('/index.html?query')).toMatchObject({ status: 200 })
    expect(await get('/e2e/tiny.html')).toMatchObject({ status: 200, body: 'tiny' })
    expect(await get('/assets/main-B1a2C3d4.js')).toMatchObject({ type: 'text/javascript; charset=utf-8' })
  })

  it('lets hashed assets be cached for ever and asks again for all else', async () => {
    expect((await get('/assets/main-B1a2C3d4.js')).headers['cache-control']).toContain('immutable')
    const { headers } = await get('/')
    expect(headers['cache-control']).toBe('no-cache')
    expect(await get('/', { headers: { 'if-none-match': headers.etag } })).toMatchObject({
      status: 304,
      body: '',
    })
  })

  it.each([
    '/../secret.txt',
    '/%2e%2e/secret.txt',
    '/..%2fsecret.txt',
    String.raw`/..%5csecret.txt`,
    '/assets/../../secret.txt',
    '/e2e/../../secret.txt',
    '/.hidden',
    '/assets/',
    '/assets',
    '//secret.txt',
    '/%00',
    '/%zz',
    '/nothing',
  ])('finds nothing at %s', async (url) => {
    expect(await get(url)).toMatchObject({ status: 404, body: 'Not found.\n' })
  })

  it('answers HEAD without a body, and no other method', async () => {
    expect(await get('/', { method: 'HEAD' })).toMatchObject({ status: 200, body: '' })
    const { status, headers } = await get('/', { method: 'POST' })
    expect({ status, allow: headers.allow }).toEqual({ status: 405, allow: 'GET, HEAD' })
  })
})

interface Answer {
  readonly status: number | undefined
  readonly type: string | undefined
  readonly headers: http.IncomingHttpHeaders
  readonly body: string
}

/** Sends the path as it is: `fetch` would tidy it up. */
async function get(url: string, options: http.RequestOptions = {}): Promise<Answer> {
  const request = http.request({ host: '127.0.0.1', port, path: url, ...options }).end()
  const [response] = (await once(request, 'response')) as [http.IncomingMessage]
  let body = ''
  for await (const chunk of response) body += String(chunk)
  return {
    status: response.statusCode,
    type: response.headers['content-type'],
    headers: response.headers,
    body,
  }
}
