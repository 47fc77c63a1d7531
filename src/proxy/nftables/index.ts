export { createNftablesBackend } from "./backend.ts";
export { createNftablesProgram, removeNftablesProgram } from "./program.ts";
export { childNft, NftError, openNft, whyNoNft, type Nft } from "./nft.ts";
