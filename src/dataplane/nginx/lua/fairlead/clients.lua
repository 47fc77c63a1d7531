-- What a client must show of itself in a handshake. nginx's Lua module lets everyone go on, and knows no revocation lists: where more is
-- asked for, OpenSSL is told so itself.
local ssl = require "ngx.ssl"
local ffi = require "ffi"
local get_request = require("resty.core.base").get_request
local C = ffi.C

-- Under names of our own: newer modules declare the first one too, with an argument more.
ffi.cdef [[
void *fairlead_ssl_of(void *r, const char **err) __asm__("ngx_http_lua_ffi_get_req_ssl_pointer");
void fairlead_set_verify(void *ssl, int mode, void *callback) __asm__("SSL_set_verify");
void fairlead_set_depth(void *ssl, int depth) __asm__("SSL_set_verify_depth");
int fairlead_add_name(void *ssl, void *certificate) __asm__("SSL_add_client_CA");
long fairlead_ssl_ctrl(void *ssl, int command, long number, void *pointer) __asm__("SSL_ctrl");
int fairlead_count(void *stack) __asm__("OPENSSL_sk_num");
void *fairlead_at(void *stack, int index) __asm__("OPENSSL_sk_value");
int fairlead_as_found(int good, void *context) __asm__("abs");
void *fairlead_store(void) __asm__("X509_STORE_new");
void fairlead_store_free(void *store) __asm__("X509_STORE_free");
int fairlead_store_trust(void *store, void *certificate) __asm__("X509_STORE_add_cert");
int fairlead_store_add(void *store, void *list) __asm__("X509_STORE_add_crl");
int fairlead_store_flags(void *store, unsigned long flags) __asm__("X509_STORE_set_flags");
void *fairlead_bio(const char *text, int length) __asm__("BIO_new_mem_buf");
int fairlead_bio_free(void *bio) __asm__("BIO_free");
void *fairlead_read_list(void *bio, void **to, void *password, void *more) __asm__("PEM_read_bio_X509_CRL");
void fairlead_list_free(void *list) __asm__("X509_CRL_free");
void fairlead_no_error(void) __asm__("ERR_clear_error");
]]

-- From openssl/ssl.h and openssl/x509_vfy.h.
local PEER, MUST_SHOW = 1, 2
-- OpenSSL asks a callback whether it may stay with what it has found, 0 or 1, and takes none away again. nginx's says 1 to everything; this
-- function of libc's says what it is asked.
local AS_FOUND = ffi.cast("void *", C.fairlead_as_found)
-- The store gets a reference of its own.
local SET_STORE = 106
local CHECK_LISTS = 0x4 + 0x8

local _M = {}

-- By rows: a row that changes is another table.
local trusted, stores = setmetatable({}, { __mode = "k" }), setmetatable({}, { __mode = "k" })

-- Adds all lists of a PEM to a store. Returns how many there were.
local function add_lists(store, text)
  local bio = C.fairlead_bio(text, #text)
  local count = 0
  while true do
    local list = C.fairlead_read_list(bio, nil, nil, nil)
    if list == nil then break end
    count = count + C.fairlead_store_add(store, list)
    C.fairlead_list_free(list)
  end
  C.fairlead_bio_free(bio)
  -- The end is an error to OpenSSL, which nginx would find later and take for one of its own.
  C.fairlead_no_error()
  return count
end

-- What certificates are checked by: authorities, and revocation lists if there are any.
local function store_of(row, chain)
  local store = stores[row]
  if store then return store end
  store = ffi.gc(C.fairlead_store(), C.fairlead_store_free)
  for index = 0, C.fairlead_count(chain) - 1 do C.fairlead_store_trust(store, C.fairlead_at(chain, index)) end
  if row.revoked then
    if add_lists(store, row.revoked) == 0 then return nil, "no revocation list can be read" end
    C.fairlead_store_flags(store, CHECK_LISTS)
  end
  stores[row] = store
  return store
end

-- Returns true; or nil and why: then nobody may go on. `must`: without a good certificate the handshake fails.
function _M.ask(row)
  local chain, why = trusted[row], nil
  if not chain then
    chain, why = ssl.parse_pem_cert(row.authorities)
    if not chain then return nil, why end
    trusted[row] = chain
  end
  if not row.must then
    local ok
    ok, why = ssl.verify_client(chain, row.depth)
    if not ok then return nil, why end
    if not row.revoked then return true end
  end
  local connection = C.fairlead_ssl_of(get_request(), ffi.new("const char *[1]"))
  if connection == nil then return nil, "there is no connection" end
  local store
  store, why = store_of(row, chain)
  if not store then return nil, why end
  C.fairlead_ssl_ctrl(connection, SET_STORE, 1, store)
  if row.must then
    C.fairlead_set_verify(connection, PEER + MUST_SHOW, AS_FOUND)
    C.fairlead_set_depth(connection, row.depth)
    for index = 0, C.fairlead_count(chain) - 1 do C.fairlead_add_name(connection, C.fairlead_at(chain, index)) end
  end
  return true
end

return _M
