/** Where an API server is and how to be let in. Made by `loadKubeconfig`; certificates and keys are PEM. */
export interface ClientConfig {
  /** `https://host:port`, with a path where the server is behind one. */
  readonly server: string;
  /** Who may sign the server's certificate. Absent: the system's authorities. */
  readonly ca?: string;
  /** Name to expect in the server's certificate, when it is not the host of `server`. */
  readonly serverName?: string;
  /** Accept any certificate. */
  readonly insecure?: boolean;
  readonly credentials: Credentials;
  /** Namespace of the context; absent: "default". */
  readonly namespace?: string;
}

export interface Credentials {
  readonly certificate?: string;
  readonly key?: string;
  readonly token?: string;
  /** Read anew every minute, as tokens in pods rotate. Wins over `token`. */
  readonly tokenFile?: string;
  readonly username?: string;
  readonly password?: string;
  readonly exec?: ExecPlugin;
  readonly impersonate?: {
    readonly user: string;
    readonly uid?: string;
    readonly groups?: readonly string[];
    readonly extra?: Readonly<Record<string, readonly string[]>>;
  };
}

/** A program that prints an ExecCredential (client.authentication.k8s.io). */
export interface ExecPlugin {
  readonly apiVersion: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly installHint?: string;
  readonly provideClusterInfo: boolean;
}
