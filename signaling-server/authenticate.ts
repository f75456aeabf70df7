/** The hook that decides who may enter. Apart from what needs `ws`, whose types no user should have to install. */

/** What the `authenticate` hook decides on. */
export interface AuthenticationRequest {
  readonly token: string | undefined
  readonly room: string
  readonly node: string
  readonly origin: string | undefined
  readonly address: string
}

/** Answers `true`, or the reason why not, which is told to the client. */
export type Authenticate = (request: AuthenticationRequest) => true | string | Promise<true | string>
