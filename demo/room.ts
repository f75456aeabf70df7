import { madeUpRoom } from './words.ts'

/** Longest room name the page makes or accepts. */
const MAX_ROOM = 64

/**
 * The room that the URL fragment names: `#room=name`, or `#name` for those who type it. A fragment without one gets a made-up room, and a name that is not in its
 * plain form is put into it, so that everyone who copies the address lands in the same place.
 */
export function roomFromLocation(): string {
  const fragment = new URLSearchParams(location.hash.slice(1))
  const [first] = fragment.keys()
  const room = plainRoom(fragment.get('room') ?? first ?? '') || madeUpRoom()
  if (location.href !== roomUrl(room)) history.replaceState(null, '', roomUrl(room))
  return room
}

/** The address of a room: this page, its query kept. */
export function roomUrl(room: string): string {
  const url = new URL(location.href)
  url.hash = new URLSearchParams({ room }).toString()
  return url.href
}

/** Moves to a room by changing the fragment; `false` where `text` names no other room. */
export function goToRoom(text: string): boolean {
  const room = plainRoom(text)
  if (room === '' || room === roomFromLocation()) return false
  location.hash = new URLSearchParams({ room }).toString()
  return true
}

/** Lower case, words joined by dashes, letters and digits of any script. */
export function plainRoom(text: string): string {
  const dashed = text
    .normalize('NFC')
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}]+/gu, '-')
  return [...dashed]
    .slice(0, MAX_ROOM)
    .join('')
    .replaceAll(/^-+|-+$/g, '')
}

/** The signaling server: the one that served this page, or the one that `?signaling=` names. */
export function signalingUrl(): string {
  const override = new URLSearchParams(location.search).get('signaling')
  if (override) return override
  return `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/`
}

/** `?snapshot=off`: nothing of this tab is kept between two loads. */
export const snapshotIsOff = (): boolean => new URLSearchParams(location.search).get('snapshot') === 'off'
