import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import path from 'node:path'

/** @type {Readonly<Record<string, string>>} */
const MIME_TYPES = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.ico': 'image/x-icon',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.map': 'application/json; charset=utf-8',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
  '.wasm': 'application/wasm',
  '.webmanifest': 'application/manifest+json',
  '.woff2': 'font/woff2',
}

/**
 * Serves the files of some folders, each under a path: `{ '/': 'dist/demo', '/e2e/': 'dist/e2e' }`.
 * Vite's hashed assets may be cached for ever, all else is asked for again each time.
 * @param {Readonly<Record<string, string>>} mounts folder by path; paths begin and end with a slash
 * @returns {(request: import('node:http').IncomingMessage, response: import('node:http').ServerResponse) => void}
 */
export function serveFolders(mounts) {
  // the longest path that fits decides
  const ordered = Object.entries(mounts).toSorted(([a], [b]) => b.length - a.length)
  return (request, response) => {
    void answer(ordered, request, response)
  }
}

/**
 * The file that a request asks for, or `undefined` where it asks for none that may be served: nothing outside of the
 * folder, no hidden files.
 * @param {readonly (readonly [string, string])[]} mounts longest path first
 * @param {string} url as in the request line
 * @returns {string | undefined}
 */
export function fileFor(mounts, url) {
  const pathname = decodePath(url)
  if (pathname === undefined) return undefined
  const mount = mounts.find(([prefix]) => pathname.startsWith(prefix))
  if (!mount) return undefined
  const [prefix, folder] = mount
  const parts = pathname.slice(prefix.length).split('/')
  // "." and ".." are hidden names too, so this is also what keeps a request inside the folder
  if (parts.some((part, index) => part.startsWith('.') || (part === '' && index < parts.length - 1)))
    return undefined
  if (parts.at(-1) === '') parts[parts.length - 1] = 'index.html'
  return path.join(folder, ...parts)
}

/**
 * @param {readonly (readonly [string, string])[]} mounts
 * @param {import('node:http').IncomingMessage} request
 * @param {import('node:http').ServerResponse} response
 */
async function answer(mounts, request, response) {
  response.setHeader('x-content-type-options', 'nosniff')
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.setHeader('allow', 'GET, HEAD')
    return end(response, 405, 'Only GET and HEAD are served here.')
  }
  const file = fileFor(mounts, request.url ?? '/')
  const stats = file === undefined ? undefined : await stat(file).catch(() => undefined)
  if (file === undefined || !stats?.isFile()) {
    // browsers ask for it unasked; a page without an icon is no error
    if (request.url === '/favicon.ico') return response.writeHead(204).end()
    return end(response, 404, 'Not found.')
  }

  const tag = `"${stats.size.toString(36)}-${Math.floor(stats.mtimeMs).toString(36)}"`
  response.setHeader('etag', tag)
  response.setHeader('cache-control', isHashed(file) ? 'public, max-age=31536000, immutable' : 'no-cache')
  if (request.headers['if-none-match'] === tag) {
    return response.writeHead(304).end()
  }
  response.setHeader(
    'content-type',
    MIME_TYPES[path.extname(file).toLowerCase()] ?? 'application/octet-stream',
  )
  response.setHeader('content-length', stats.size)
  response.writeHead(200)
  if (request.method === 'HEAD') response.end()
  // a file that goes away while it is read ends the connection, so that nobody takes a part for the whole
  else
    createReadStream(file)
      .on('error', () => response.destroy())
      .pipe(response)
  return undefined
}

/**
 * @param {string} url
 * @returns {string | undefined}
 */
function decodePath(url) {
  const raw = url.split(/[?#]/, 1)[0] ?? ''
  try {
    const decoded = decodeURIComponent(raw)
    return /[\0\\]/.test(decoded) ? undefined : decoded
  } catch {
    return undefined
  }
}

/**
 * Whether Vite named the file after its content.
 * @param {string} file
 */
function isHashed(file) {
  return /[\\/]assets[\\/][^\\/]+-[\w-]{8,}\.\w+(?:\.map)?$/.test(file)
}

/**
 * @param {import('node:http').ServerResponse} response
 * @param {number} status
 * @param {string} text
 */
function end(response, status, text) {
  return response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(`${text}\n`)
}
