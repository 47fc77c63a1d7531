/** What `tls.connect` takes to decide whom to believe. */
export interface Trust {
  readonly ca?: string | Buffer;
  readonly allowPartialTrustChain: true;
}

/**
 * Believes the certificates of a bundle (PEM), or with none those of the system. As with Go's crypto/x509, which everyone's `caBundle`
 * was tried with, each may be the end of a chain: an authority that another one signed, or the server's certificate itself.
 */
export function trust(authorities?: string | Buffer): Trust {
  return { ...(authorities ? { ca: authorities } : {}), allowPartialTrustChain: true };
}
