export { createNftablesBackend } from "./backend.ts";
export { createNftablesProgram, removeNftablesProgram } from "./program.ts";
export { childNft, NftError, openNft, whyNoNft, whyNoProgram, type Nft } from "./nft.ts";
