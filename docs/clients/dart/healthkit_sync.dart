// Sends what Flutter's `health` package reads to django-healthkit-ingest. Copy it into an app and make it yours:
// it needs nothing but Dart. Every request it makes is in `requests.json` beside it, and is tested from there.

import 'dart:async';
import 'dart:convert';
import 'dart:io';
import 'dart:math';

typedef Json = Map<String, dynamic>;

/// What the bytes are good for after an answer. They are never thrown away.
enum Advice { done, later, auth, split, fix, never }

/// The server or the network is not there. Nothing is lost: call again after [after], e.g. from a background task.
class TryLater implements Exception {
  TryLater(this.after);
  final Duration after;
}

/// A new token was refused too. Nothing is lost: let the user sign in.
class SignInNeeded implements Exception {}

/// Refused for good (SPLIT, FIX, NEVER).
class Refused implements Exception {
  Refused(this.answer);
  final Answer answer;
}

class Answer {
  const Answer(this.status, this.content, this.retryAfter);

  final int status; // 0: none came
  final Json? content; // null: not a JSON object
  final int retryAfter; // seconds

  static const words = {
    'LATER': Advice.later,
    'AUTH': Advice.auth,
    'SPLIT': Advice.split,
    'FIX': Advice.fix,
    'NEVER': Advice.never,
  };

  /// Whether the server itself refused, and not a proxy or a hotel's login page.
  bool get isProblem => content != null && content!.containsKey('retry');

  /// Who answers without a word we know may not know what became of the bytes: so they are kept and sent later.
  Advice get advice {
    if (status >= 200 && status < 300 && content != null) return Advice.done;
    final word = isProblem ? words[content!['retry']] : null;
    if (word != null) return word;
    if (status == 401 || status == 403) return Advice.auth;
    return status == 413 ? Advice.split : Advice.later;
  }
}

class HealthKitSync {
  HealthKitSync({
    required this.baseUrl,
    required this.signIn,
    required this.device,
    required this.timeZone,
    required this.folder,
    this.tries = 5,
    this.longestPause = const Duration(minutes: 2),
  }) {
    Directory(_parked).createSync(recursive: true);
  }

  final Uri baseUrl; // with the slash: https://example.com/health/
  final Future<String> Function() signIn; // the value of Authorization; asked again when the last one was refused
  final String device; // this installation: kept in the keychain of this device only, so that it outlives a reinstall
  final String timeZone; // the phone's, an IANA name: `health` gives dates without an offset
  final Directory folder; // the outbox: application support, not a cache
  final int tries;
  final Duration longestPause;
  int recordsPerRequest = 5000;

  final HttpClient _http = HttpClient()..connectionTimeout = const Duration(seconds: 20);
  final Random _random = Random.secure();
  String? _authorization;
  int _last = 0;

  String get _parked => '${folder.path}/parked';

  /// What to read: `types` (null: all), `start` (null: all), without `withheld`.
  Future<Json> contract() async {
    try {
      final terms = await _get('contract/', {'device': device});
      recordsPerRequest = terms['records_per_request'] as int;
      return {'types': terms['types'], 'start': terms['start'], 'withheld': terms['withheld']};
    } on Refused catch (refused) {
      if (refused.answer.status == 404) return {'types': null, 'start': null, 'withheld': <String>[]};
      rethrow;
    }
  }

  /// Where to start after a reinstall, by type: `anchor`, which may be null, and `latest_sample`. An app without
  /// anchors sends windows from some days before its latest sample on, for HealthKit gets old samples late.
  Future<Map<String, Json>> syncState() async {
    final told = await _get('sync-state/', {'device': device});
    return {
      for (final each in told['results'] as List)
        each['type'] as String: {'anchor': each['anchor'], 'latest_sample': each['latest_sample']},
    };
  }

  /// Points of an anchored query of your own (`health` has none): [deletions] are `{'uuid': …}`, [anchors] by type.
  void putChanges(List<Json> points, {List<Json> deletions = const [], Json anchors = const {}}) {
    _put({'samples': points, 'deletions': deletions, if (anchors.isNotEmpty) 'anchors': anchors});
  }

  /// Everything of [types] that starts in `[start, end)`, as `toJson()` of the points: what the server has from this
  /// installation and does not find here, it removes. So `health`, which knows no deletions, is enough. [types] are
  /// HealthKit's, of which all of `health`'s parts must be there (all SLEEP_…); [readable] vouches that the app may
  /// read them, for a type that may not be read looks empty.
  void putWindow(
    List<Json> points, {
    required List<String> types,
    required DateTime start,
    required DateTime end,
    required bool readable,
  }) {
    final window = {
      'types': types,
      'start': start.toUtc().toIso8601String(),
      'end': end.toUtc().toIso8601String(),
      'complete': true,
      'readable': readable,
    };
    _put({
      'samples': points,
      'windows': [window],
    });
  }

  /// Sends all that waits, each body after the answer to the last; answers the imports' ids. Throws [TryLater] and
  /// [SignInNeeded], after which the next call goes on.
  Future<List<String>> send() async {
    final imports = <String>[];
    for (var waiting = _waiting(); waiting.isNotEmpty; waiting = _waiting()) {
      final file = waiting.first;
      if (_withoutAnchors(file)) continue;
      try {
        final answer = await _patiently(() => _deliver(file));
        imports.add(answer.content!['id'] as String);
        _drop(file);
      } on Refused catch (refused) {
        final halves = refused.answer.advice == Advice.split ? _halve(_read(file)) : <Json>[];
        if (halves.isEmpty) {
          _park(file, refused.answer);
        } else {
          _replace(file, halves);
        }
      }
    }
    return imports;
  }

  /// The import once it is COMPLETED or FAILED. A status not known here is not an end.
  Future<Json> follow(String id) async {
    while (true) {
      final shape = await _get('imports/$id/', {'wait': '20'});
      if (shape['status'] == 'COMPLETED' || shape['status'] == 'FAILED') return shape;
      await Future<void>.delayed(Duration(seconds: (shape['retry_after'] as int?) ?? 1));
    }
  }

  /// Gives parked bodies another chance: after an update of the app or of the server.
  void unpark() {
    for (final file in _filesIn(_parked)) {
      File('${file.path}.problem').deleteSync();
      file.renameSync('${folder.path}/${_name(file)}');
    }
  }

  // Requests

  Future<Answer> _deliver(File file) async {
    final key = _name(file).split('_').last.split('.').first;
    final tried = File('${file.path}.tried');
    final isRepeat = tried.existsSync();
    if (isRepeat) {
      // An answer was lost: the receipt is smaller than the body.
      final receipt = await _once('GET', 'imports/', query: {'idempotency_key': key});
      if (receipt.advice == Advice.later || receipt.advice == Advice.auth) return receipt;
      final found = receipt.advice == Advice.done ? receipt.content!['results'] as List : const [];
      if (found.isNotEmpty) return Answer(receipt.status, found.first as Json, 0);
    }
    tried.createSync();
    final headers = {'Content-Type': 'application/json', 'Content-Encoding': 'gzip', 'Idempotency-Key': key};
    final answer = await _once('POST', 'imports/', body: file.readAsBytesSync(), headers: headers);
    if (answer.isProblem && !isRepeat) tried.deleteSync();
    return answer;
  }

  Future<Json> _get(String path, Map<String, String> query) async =>
      (await _patiently(() => _once('GET', path, query: query))).content!;

  Future<Answer> _patiently(Future<Answer> Function() ask) async {
    var isSignedInAnew = false;
    for (var failures = 0;;) {
      final answer = await ask();
      switch (answer.advice) {
        case Advice.done:
          return answer;
        case Advice.auth:
          if (isSignedInAnew) throw SignInNeeded();
          isSignedInAnew = true;
          _authorization = null;
          break;
        case Advice.later:
          final backOff = min(60, pow(2, failures)) * (0.5 + _random.nextDouble() / 2);
          final pause = Duration(milliseconds: ((answer.retryAfter + backOff) * 1000).round());
          failures += 1;
          if (failures >= tries || pause > longestPause) throw TryLater(pause);
          await Future<void>.delayed(pause);
          break;
        case Advice.split:
        case Advice.fix:
        case Advice.never:
          throw Refused(answer);
      }
    }
  }

  Future<Answer> _once(
    String method,
    String path, {
    Map<String, String>? query,
    List<int>? body,
    Map<String, String> headers = const {},
  }) async {
    final authorization = _authorization ??= await signIn();
    try {
      final request = await _http.openUrl(method, baseUrl.resolve(path).replace(queryParameters: query));
      request.followRedirects = false; // a login page is no success
      request.headers.set('Authorization', authorization);
      headers.forEach(request.headers.set);
      if (body != null) {
        request.contentLength = body.length;
        request.add(body);
      }
      final response = await request.close().timeout(const Duration(seconds: 60));
      final text = await response.transform(utf8.decoder).join().timeout(const Duration(seconds: 60));
      final wait = int.tryParse(response.headers.value('Retry-After') ?? '');
      return Answer(response.statusCode, _object(text), wait ?? 0);
    } on Exception {
      return const Answer(0, null, 0);
    }
  }

  static Json? _object(String text) {
    try {
      final found = jsonDecode(text);
      return found is Json ? found : null;
    } on FormatException {
      return null;
    }
  }

  // Bodies

  void _put(Json body) {
    for (final piece in _pieces(body)) {
      _last = max(_last + 1, DateTime.now().microsecondsSinceEpoch);
      // Two bodies that happen to say the same are not repeats: each has a sequence of its own.
      _write('$_last'.padLeft(20, '0'), {
        'format': 'flutter',
        'version': 1,
        'time_zone': timeZone,
        'sequence': _last,
        'device': {'id': device},
        ...piece,
      });
    }
  }

  List<Json> _pieces(Json body) {
    final isShort = _list(body, 'samples').length + _list(body, 'deletions').length <= recordsPerRequest;
    final halves = isShort ? <Json>[] : _halve(body);
    return halves.isEmpty ? [body] : [for (final half in halves) ..._pieces(half)];
  }

  /// Two bodies, to be sent in this order; none if there are no two records. The last has the anchors, for they stand
  /// for everything before them. A window is cut in time, as its points are, or is no longer complete.
  List<Json> _halve(Json body) {
    final records = [..._list(body, 'samples'), ..._list(body, 'deletions')];
    if (records.length < 2) return [];
    final windows = _list(body, 'windows');
    // Dates without an offset, as `health` has them and the server reads them: they sort as they are.
    final dates = [for (final point in _list(body, 'samples')) point['dateFrom'] as String]..sort();
    final canCut = windows.isNotEmpty && dates.isNotEmpty && dates.first != dates.last;
    final middle = canCut ? dates.skip(dates.length ~/ 2).firstWhere((date) => date != dates.first) : null;
    bool isEarly(int n) {
      final date = records[n]['dateFrom'] as String?;
      return middle == null ? n < (records.length + 1) ~/ 2 : date != null && date.compareTo(middle) < 0;
    }

    Json part({required bool early}) {
      final mine = [
        for (var n = 0; n < records.length; n++)
          if (isEarly(n) == early) records[n],
      ];
      return {
        ...body,
        'samples': mine.where((record) => record.containsKey('dateFrom')).toList(),
        'deletions': mine.where((record) => !record.containsKey('dateFrom')).toList(),
        'windows': [
          for (final window in windows)
            middle == null ? {...window, 'complete': false} : {...window, early ? 'end' : 'start': middle},
        ],
      };
    }

    return [part(early: true)..remove('anchors'), part(early: false)];
  }

  List<Json> _list(Json body, String key) => ((body[key] ?? const []) as List).cast<Json>().toList();

  // The outbox: `<order>_<key>.json.gz`, and `….tried` beside it while it is not known whether it arrived

  List<File> _waiting() => _filesIn(folder.path);

  List<File> _filesIn(String path) => Directory(path)
      .listSync()
      .whereType<File>()
      .where((file) => file.path.endsWith('.json.gz'))
      .toList()
    ..sort((a, b) => _name(a).compareTo(_name(b)));

  String _name(File file) => file.uri.pathSegments.last;

  Json _read(File file) => jsonDecode(utf8.decode(gzip.decode(file.readAsBytesSync()))) as Json;

  void _write(String order, Json body) {
    final key = [for (var n = 0; n < 16; n++) _random.nextInt(256).toRadixString(16).padLeft(2, '0')].join();
    final unfinished = File('${folder.path}/unfinished');
    unfinished.writeAsBytesSync(gzip.encode(utf8.encode(jsonEncode(body))), flush: true);
    unfinished.renameSync('${folder.path}/${order}_$key.json.gz');
  }

  void _replace(File file, List<Json> bodies) {
    final order = _name(file).split('_').first;
    for (var n = 0; n < bodies.length; n++) {
      _write('$order.$n', bodies[n]);
    }
    _drop(file);
  }

  void _drop(File file) {
    file.deleteSync();
    final tried = File('${file.path}.tried');
    if (tried.existsSync()) tried.deleteSync();
  }

  void _park(File file, Answer answer) {
    File('$_parked/${_name(file)}.problem').writeAsStringSync(jsonEncode(answer.content), flush: true);
    file.copySync('$_parked/${_name(file)}');
    _drop(file);
  }

  /// While a body is parked no anchor goes out, or it would make safe what never arrived. Whether the file changed.
  bool _withoutAnchors(File file) {
    if (_filesIn(_parked).isEmpty) return false;
    final body = _read(file);
    if (body.remove('anchors') == null) return false;
    _replace(file, [body]);
    return true;
  }
}
