#include "arguments.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

#include "files.h"

namespace shipworthy {
namespace {

constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();

std::vector<std::string> ReadLines(const std::string& path) {
  constexpr std::size_t kMostBytes = 64 << 20;
  try {
    File file(path);
    if (file.remaining() > kMostBytes) throw Error("it is larger than 64 MiB");
    std::string text(file.remaining(), '\0');
    file.Read(text.data(), text.size(), "its lines");
    std::vector<std::string> lines;
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t end = std::min(text.find('\n', begin), text.size());
      lines.push_back(text.substr(begin, end - begin));
      begin = end + 1;
    }
    return lines;
  } catch (const Error& e) {
    throw UsageError("cannot read arguments from " + path + ": " + e.what());
  }
}

std::vector<std::string> Expand(int argc, char** argv) {
  std::vector<std::string> words;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word.size() > 1 && word[0] == '@') {
      for (std::string& line : ReadLines(word.substr(1))) words.push_back(std::move(line));
    } else {
      words.push_back(word);
    }
  }
  return words;
}

std::string Unescape(const std::string& text) {
  static const std::vector<std::pair<std::string, char>> kEscapes = {
      {"%3D", '='}, {"%25", '%'}, {"%0A", '\n'}};
  std::string plain;
  for (std::size_t i = 0; i < text.size();) {
    const auto found = std::find_if(kEscapes.begin(), kEscapes.end(), [&](const auto& escape) {
      return text.compare(i, escape.first.size(), escape.first) == 0;
    });
    plain += found == kEscapes.end() ? text[i] : found->second;
    i += found == kEscapes.end() ? 1 : found->first.size();
  }
  return plain;
}

std::string Listed(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text.empty() ? "none" : text;
}

class Parser {
 public:
  explicit Parser(std::vector<std::string> words) : words_(std::move(words)) {}

  Arguments Parse() {
    while (position_ < words_.size()) Option(words_[position_++]);
    Check();
    return std::move(arguments_);
  }

 private:
  void Option(const std::string& word) {
    if (word == "--describe") {
      arguments_.describe = true;
    } else if (word == "--model") {
      arguments_.options.model = Text(word);
    } else if (word == "--threads") {
      arguments_.options.threads = static_cast<int>(Number(word, 1, 1024));
    } else if (word == "--rows") {
      arguments_.rows = Number(word, 1, kMost);
    } else if (word == "--start-ns") {
      arguments_.start_ns = Number(word, 0, kMost);
    } else if (word == "--null-ns") {
      arguments_.options.null_ns = Number(word, 0, kMost);
    } else if (word == "--case") {
      arguments_.cases.push_back({Text(word), {}, {}});
    } else if (word == "--input" || word == "--output") {
      Binding(word);
    } else if (word == "--setting") {
      Setting(word);
    } else {
      BenchOption(word);
    }
  }

  void BenchOption(const std::string& word) {
    constexpr std::int64_t kMostGapNs = 1'000'000'000'000;
    struct Field {
      std::string_view option;
      std::int64_t Load::*field;
      std::int64_t least;
      std::int64_t most = kMost;
    };
    static constexpr std::array<Field, 9> kFields = {{{"--warmup", &Load::warmup, 0},
                                                      {"--min-runs", &Load::min_runs, 0},
                                                      {"--max-runs", &Load::max_runs, 1},
                                                      {"--min-ns", &Load::min_ns, 0},
                                                      {"--max-ns", &Load::max_ns, 1},
                                                      {"--inputs", &Load::inputs, 1},
                                                      {"--gap-ns", &Load::gap_ns, 1, kMostGapNs},
                                                      {"--seed", &Load::seed, 0},
                                                      {"--keep", &Load::keep, 2}}};
    if (word == "--bench") {
      bench_.cases.push_back(Text(word));
      return;
    }
    if (word == "--scenario") {
      bench_.scenario = ScenarioOf(Text(word));
      return;
    }
    const auto found = std::find_if(kFields.begin(), kFields.end(),
                                    [&](const Field& field) { return field.option == word; });
    if (found == kFields.end()) {
      throw UsageError("unknown argument '" + word +
                       "'; allowed: --describe, --model, --threads, --setting, --rows, --case, "
                       "--input, --output, --bench, --scenario, --warmup, --min-runs, --max-runs, "
                       "--min-ns, --max-ns, --inputs, --gap-ns, --seed, --keep, --start-ns, "
                       "--null-ns, @FILE");
    }
    bench_.*(found->field) = Number(word, found->least, found->most);
  }

  static Scenario ScenarioOf(const std::string& name) {
    std::vector<std::string> names;
    for (const Scenario scenario : {Scenario::kSingleStream, Scenario::kMultiStream,
                                    Scenario::kOffline, Scenario::kServer}) {
      if (name == Name(scenario)) return scenario;
      names.push_back(Name(scenario));
    }
    throw UsageError("--scenario is '" + name + "'; allowed: " + Listed(names));
  }

  std::string Text(const std::string& option) {
    if (position_ == words_.size() || words_[position_].empty()) {
      throw UsageError(option + " needs a value");
    }
    return words_[position_++];
  }

  std::int64_t Number(const std::string& option, std::int64_t least, std::int64_t most) {
    const std::string text = Text(option);
    std::int64_t number = 0;
    const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (fault != std::errc() || end != text.data() + text.size() || number < least ||
        number > most) {
      throw UsageError(option + " is '" + text + "'; allowed: whole numbers from " +
                       std::to_string(least) + " to " + std::to_string(most));
    }
    return number;
  }

  // "NAME=VALUE", neither of them empty.
  std::pair<std::string, std::string> Pair(const std::string& option, const char* form) {
    const std::string text = Text(option);
    const std::size_t equals = text.find('=');
    if (equals == 0 || equals == std::string::npos || equals + 1 == text.size()) {
      throw UsageError(option + " is '" + text + "'; it must be " + form);
    }
    return {text.substr(0, equals), text.substr(equals + 1)};
  }

  void Binding(const std::string& option) {
    if (arguments_.cases.empty()) throw UsageError(option + " stands before any --case");
    const auto [escaped, path] = Pair(option, "NAME=PATH");
    CaseFiles& current = arguments_.cases.back();
    auto& bindings = option == "--input" ? current.inputs : current.outputs;
    const std::string name = Unescape(escaped);
    for (const auto& [other, file] : bindings) {
      if (other == name) {
        throw UsageError("case '" + current.name + "' gives " + option + " '" + name + "' twice");
      }
    }
    bindings.emplace_back(name, path);
  }

  void Setting(const std::string& option) {
    const auto [name, value] = Pair(option, "NAME=VALUE");
    const std::vector<KnownSetting> known = KnownSettings();
    const auto found = std::find_if(known.begin(), known.end(),
                                    [&, &name = name](const auto& one) { return one.name == name; });
    if (found == known.end()) {
      std::vector<std::string> names;
      for (const KnownSetting& one : known) names.push_back(one.name);
      throw UsageError(std::string(RuntimeName()) + " has no setting '" + name +
                       "'; known: " + Listed(names));
    }
    if (std::find(found->values.begin(), found->values.end(), value) == found->values.end()) {
      throw UsageError(option + " " + name + " is '" + value +
                       "'; allowed: " + Listed(found->values));
    }
    for (const auto& [other, set] : arguments_.options.settings) {
      if (other == name) throw UsageError(option + " " + name + " is given twice");
    }
    arguments_.options.settings.emplace_back(name, value);
  }

  void Check() {
    if (arguments_.describe) return;
    if (arguments_.options.model.empty()) throw UsageError("--model is missing");
    for (std::size_t i = 0; i < arguments_.cases.size(); ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        if (arguments_.cases[i].name == arguments_.cases[j].name) {
          throw UsageError("case '" + arguments_.cases[i].name + "' is given twice");
        }
      }
    }
    if (bench_.cases.empty()) return;
    CheckBench();
    arguments_.bench = bench_;
  }

  void CheckBench() const {
    std::vector<std::string> names;
    for (const CaseFiles& one : arguments_.cases) names.push_back(one.name);
    for (const std::string& name : bench_.cases) {
      const auto given = std::count(names.begin(), names.end(), name);
      const auto timed = std::count(bench_.cases.begin(), bench_.cases.end(), name);
      if (given == 0) {
        throw UsageError("--bench names the case '" + name + "'; given: " + Listed(names));
      }
      if (timed > 1) {
        throw UsageError("--bench names the case '" + name +
                         "' twice; each worker needs one of its own");
      }
    }
    CheckLimits("runs", bench_.min_runs, bench_.max_runs);
    CheckLimits("ns", bench_.min_ns, bench_.max_ns);
    const std::string scenario = std::string("--scenario ") + Name(bench_.scenario);
    if (bench_.scenario == Scenario::kSingleStream && bench_.cases.size() > 1) {
      throw UsageError(scenario + " has one worker; --bench is given " +
                       std::to_string(bench_.cases.size()) + " times");
    }
    if (bench_.scenario != Scenario::kMultiStream && bench_.inputs != 1) {
      throw UsageError(scenario + " has one input a query; --inputs is " +
                       std::to_string(bench_.inputs));
    }
    if ((bench_.scenario == Scenario::kServer) != (bench_.gap_ns != 0)) {
      throw UsageError(scenario + (bench_.gap_ns == 0 ? " needs" : " takes no") + " --gap-ns");
    }
  }

  static void CheckLimits(const std::string& what, std::int64_t least, std::int64_t most) {
    if (least <= most) return;
    throw UsageError("--min-" + what + " " + std::to_string(least) + " is more than --max-" +
                     what + " " + std::to_string(most));
  }

  std::vector<std::string> words_;
  std::size_t position_ = 0;
  Load bench_;
  Arguments arguments_;
};

}  // namespace

Arguments ParseArguments(int argc, char** argv) { return Parser(Expand(argc, argv)).Parse(); }

}  // namespace shipworthy
