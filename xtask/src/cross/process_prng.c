/* bcryptprimitives.dll, of which Rust's standard library wants this function and Wine 8 has nothing. */
__declspec(dllimport) unsigned char __stdcall SystemFunction036(void *bytes, unsigned long length);

__declspec(dllexport) int ProcessPrng(void *bytes, unsigned long long length) {
    return SystemFunction036(bytes, (unsigned long)length);
}
