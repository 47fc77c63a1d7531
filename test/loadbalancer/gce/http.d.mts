/** Block of the proxy-only subnet. */
export const proxyRange: string;
