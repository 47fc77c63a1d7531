/**
 * The part of HAProxy's program that judges what clients have shown in their handshake (`auth-tls-*`), as the embedded data plane's
 * `client-certificate.ts`. The handshake itself lets everybody in whom a listener only asks.
 */
export const luaCertificate = String.raw`
-- OpenSSL's codes of what is wrong with a certificate.
local faults = {
  [2] = "UNABLE_TO_GET_ISSUER_CERT", [9] = "CERT_NOT_YET_VALID", [10] = "CERT_HAS_EXPIRED", [18] = "DEPTH_ZERO_SELF_SIGNED_CERT",
  [19] = "SELF_SIGNED_CERT_IN_CHAIN", [20] = "UNABLE_TO_GET_ISSUER_CERT_LOCALLY", [21] = "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  [22] = "CERT_CHAIN_TOO_LONG", [23] = "CERT_REVOKED", [26] = "INVALID_PURPOSE", [27] = "CERT_UNTRUSTED",
}
-- Those of nobody's having vouched for it, rather than of the certificate itself.
local unvouched = { [2] = true, [18] = true, [19] = true, [20] = true, [21] = true, [27] = true }

-- Where the content of a DER element begins, and where it ends.
local function element(der, at)
  local length = der:byte(at + 1)
  if not length then return nil end
  local from = at + 2
  if length >= 128 then
    local size = length - 128
    if size < 1 or size > 3 or at + 1 + size > #der then return nil end
    length = 0
    for i = from, from + size - 1 do length = length * 256 + der:byte(i) end
    from = from + size
  end
  local to = from + length - 1
  return to <= #der and from or nil, to
end

-- Whether a certificate that begins there has itself for its issuer: it is what is trusted, and not between.
local function is_own_issuer(der, at)
  local from = element(der, at)
  from = from and element(der, from)
  local names = {}
  -- Version (perhaps), serial number, algorithm, issuer, validity, subject.
  if from and der:byte(from) == 160 then
    local _, to = element(der, from)
    from = to and to + 1
  end
  for i = 1, 5 do
    local begin, to = element(der, from or #der + 1)
    if not begin then return false end
    names[i] = der:sub(from, to)
    from = to + 1
  end
  return names[3] == names[5]
end

-- Authorities that the client has sent along with its own certificate, those that vouch for themselves left out.
local function authorities_sent(txn)
  local chain, own = txn.sf:ssl_c_chain_der(), txn.sf:ssl_c_der()
  local count, at = 0, 1
  while at <= #chain do
    local from, to = element(chain, at)
    if not from then break end
    if chain:sub(at, to) ~= own and not is_own_issuer(chain, at) then count = count + 1 end
    at = to + 1
  end
  return count
end

local function distinguished(name)
  return (name:gsub("[^\32-\126]", function(c) return string.format("\\%02X", c:byte()) end))
end

local function pem_of(txn)
  local text = txn.c:base64(txn.sf:ssl_c_der())
  local lines = { "-----BEGIN CERTIFICATE-----" }
  for i = 1, #text, 64 do lines[#lines + 1] = text:sub(i, i + 63) end
  lines[#lines + 1] = "-----END CERTIFICATE-----\n"
  return table.concat(lines, "\n")
end

local certificate_fields = { "ssl-client-verify", "ssl-client-subject-dn", "ssl-client-issuer-dn", "ssl-client-cert" }

policies["certificate"] = function(part, state)
  local txn, http = state.txn, state.txn.http
  local shown = txn.f:ssl_c_used() == 1
  local code = shown and txn.f:ssl_c_verify() or 0
  if shown and code == 0 and authorities_sent(txn) > tonumber(part[3]) then code = 22 end
  local bad = code ~= 0 and not (part[2] == "optional_no_ca" and unvouched[code])
  if bad or (not shown and part[2] == "on") then
    if #part[5] > 0 then state.answer(302, "Look there.", { "location", rendered(part[5], state.request) })
    else state.answer(400, shown and "The client certificate is not accepted." or "A client certificate is needed.", {}) end
    return true
  end
  local subject = shown and txn.f:ssl_c_s_dn("", 0, "rfc2253") or ""
  if #part[4] > 0 and not (part[4][1] ~= "" and runs(automaton_of(part[4], part[4][1]), subject)) then
    state.answer(403, "This client certificate is not allowed here.", {})
    return true
  end
  for _, name in ipairs(certificate_fields) do
    http:req_del_header(name)
    http:req_del_header((name:gsub("-", "_")))
  end
  http:req_set_header("ssl-client-verify", not shown and "NONE" or code == 0 and "SUCCESS" or "FAILED:" .. (faults[code] or code))
  if shown then
    http:req_set_header("ssl-client-subject-dn", distinguished(subject))
    http:req_set_header("ssl-client-issuer-dn", distinguished(txn.f:ssl_c_i_dn("", 0, "rfc2253")))
    if part[6] == "1" then http:req_set_header("ssl-client-cert", escaped(pem_of(txn))) end
  end
  return false
end
`;
