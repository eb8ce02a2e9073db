// Runs a target over files, as a test: for compilers without libFuzzer, and for what was found. Arguments are files and
// folders of files.
#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "fuzz.h"

namespace {

size_t count = 0;

void replay(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::vector<char> text{std::istreambuf_iterator<char>(file), {}};
  // A copy of exactly that size, so that a read beyond it is seen.
  const std::unique_ptr<uint8_t[]> bytes(new uint8_t[text.size()]);
  std::copy(text.begin(), text.end(), bytes.get());
  LLVMFuzzerTestOneInput(bytes.get(), text.size());
  count++;
}

void replayAll(const std::string& path) {
  struct stat status{};
  if (stat(path.c_str(), &status) != 0) {
    std::fprintf(stderr, "%s: there is no such file\n", path.c_str());
    std::exit(2);
  }
  if (!S_ISDIR(status.st_mode)) return replay(path);
  std::vector<std::string> names;
  DIR* folder = opendir(path.c_str());
  while (const dirent* entry = readdir(folder)) {
    if (entry->d_name[0] != '.') names.push_back(entry->d_name);
  }
  closedir(folder);
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) replayAll(path + "/" + name);
}

}  // namespace

int main(int argc, char** argv) {
  for (int i = 1; i < argc; i++) replayAll(argv[i]);
  std::printf("%zu inputs\n", count);
  return count > 0 ? 0 : 2;
}
