//! Questions: for every service of meshzero's type, or through a DNS-SD subtype for those of one name.

use std::fmt;

use simple_dns::rdata::{PTR, RData};
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, ResourceRecord, TYPE};
use xxhash_rust::xxh3::xxh3_64;

use super::{ReplyError, SERVICE_TYPE, before_service_type, check_counts};
use crate::id::InstanceId;
use crate::name::{MeshName, ServiceName};

/// The largest datagram that is sent over a network, in bytes of payload: it fits an Ethernet frame in both families (RFC 6762
/// §17).
pub const NETWORK_DATAGRAM_BYTES: usize = 1_440;
/// The largest datagram over loopback, where nothing is fragmented.
pub const LOOPBACK_DATAGRAM_BYTES: usize = 8_952;

/// The lifetime of a known answer, in seconds: the one that RFC 6762 §10 recommends for a PTR record, and that responders use.
/// They omit an answer whose remaining lifetime is more than half of it (§7.1).
const POINTER_TTL: u32 = 4_500;
/// The size of one known answer in bytes: a compressed name, type, class, lifetime, length, and the instance's label with a
/// compressed rest.
const KNOWN_ANSWER_BYTES: usize = 2 + 2 + 2 + 4 + 2 + 1 + 32 + 2;
/// The number of known answers that a question for all services can carry over a network.
pub const NETWORK_KNOWN_ANSWERS: usize =
    (NETWORK_DATAGRAM_BYTES - super::HEADER_BYTES - 2 * (SERVICE_TYPE.len() + 2) - 4) / KNOWN_ANSWER_BYTES;
/// The maximum number of questions that are read from one received message.
const MAX_RECEIVED_QUESTIONS: usize = 32;

/// The subtype (RFC 6763 §7.1) that the instances of one service name answer: a hash of mesh and name, because names may be
/// longer than a DNS label.
///
/// Two names may share one, so the sender compares the names in the answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subtype(u64);

impl Subtype {
    /// Returns the subtype of `service` in `mesh`.
    pub fn new(mesh: &MeshName, service: &ServiceName) -> Self {
        // No name contains a control character, so the boundary between the two is unambiguous.
        Self(xxh3_64(format!("{mesh}\0{service}").as_bytes()))
    }

    fn parse(label: &[u8]) -> Option<Self> {
        let hex = std::str::from_utf8(label.strip_prefix(b"_")?).ok()?;
        let is_hex = hex.len() == 16 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hex.then(|| u64::from_str_radix(hex, 16).ok().map(Self)).flatten()
    }
}

/// Written as a DNS label: an underscore and 16 lower-case hexadecimal digits.
impl fmt::Display for Subtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "_{:016x}", self.0)
    }
}

/// One question to every responder on the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Question {
    /// The question for all services of every mesh.
    All,
    /// The question for the instances of one name.
    Name(Subtype),
}

impl Question {
    /// Encodes questions as one message, with as many `known` instances as fit into `bytes`: their responders need not answer
    /// (RFC 6762 §7.1).
    ///
    /// # Panics
    /// Never: every name here is well-formed.
    pub fn encode(
        questions: &[Question],
        known: impl IntoIterator<Item = InstanceId>,
        bytes: usize,
    ) -> Vec<u8> {
        let name = |text: String| Name::new_unchecked(&text).into_owned();
        let mut packet = Packet::new_query(0);
        for question in questions {
            let qname = name(match question {
                Self::All => SERVICE_TYPE.to_owned(),
                Self::Name(subtype) => format!("{subtype}._sub.{SERVICE_TYPE}"),
            });
            let question =
                simple_dns::Question::new(qname, QTYPE::TYPE(TYPE::PTR), QCLASS::CLASS(CLASS::IN), false);
            packet.questions.push(question);
        }
        let build = |packet: &Packet<'_>| {
            packet.build_bytes_vec_compressed().expect("well-formed names of a few labels encode")
        };
        let room = bytes.saturating_sub(build(&packet).len() + SERVICE_TYPE.len() + 2) / KNOWN_ANSWER_BYTES;
        for instance in known.into_iter().take(room) {
            let pointer = PTR(name(format!("{instance}.{SERVICE_TYPE}")));
            packet.answers.push(ResourceRecord::new(
                name(SERVICE_TYPE.to_owned()),
                CLASS::IN,
                POINTER_TTL,
                RData::PTR(pointer),
            ));
        }
        build(&packet)
    }
}

/// The questions of another host that are about services of meshzero's type and are answered by multicast.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ForeignQuestions {
    /// The questions.
    pub questions: Vec<Question>,
    /// The instances that need not answer.
    pub known: Vec<InstanceId>,
}

impl ForeignQuestions {
    /// Reads a message. A response, or a question about other services, has no questions.
    ///
    /// # Errors
    /// [`ReplyError`]: these bytes are not a DNS message.
    pub fn parse(bytes: &[u8]) -> Result<Self, ReplyError> {
        check_counts(bytes)?;
        let packet = Packet::parse(bytes).map_err(|error| ReplyError::Malformed(error.to_string()))?;
        let mut foreign = Self::default();
        if packet.has_flags(PacketFlag::RESPONSE) {
            return Ok(foreign);
        }
        let for_pointers = |question: &&simple_dns::Question<'_>| {
            question.qtype == QTYPE::TYPE(TYPE::PTR) && !question.unicast_response
        };
        let questions = packet.questions.iter().filter(for_pointers).take(MAX_RECEIVED_QUESTIONS);
        foreign.questions = questions.filter_map(|question| read_question(&question.qname)).collect();
        if foreign.questions.is_empty() {
            return Ok(foreign);
        }
        foreign.known = packet.answers.iter().filter_map(known_instance).collect();
        Ok(foreign)
    }
}

fn read_question(name: &Name<'_>) -> Option<Question> {
    match before_service_type(name)? {
        [] => Some(Question::All),
        [subtype, sub] if sub.as_ref().eq_ignore_ascii_case(b"_sub") => {
            Subtype::parse(subtype.as_ref()).map(Question::Name)
        }
        _ => None,
    }
}

fn known_instance(record: &ResourceRecord<'_>) -> Option<InstanceId> {
    let RData::PTR(PTR(name)) = &record.rdata else { return None };
    let [label] = before_service_type(name)? else { return None };
    std::str::from_utf8(label.as_ref()).ok()?.to_ascii_lowercase().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subtype(service: &str) -> Subtype {
        Subtype::new(&MeshName::default(), &ServiceName::new(service).expect("a name"))
    }

    #[test]
    fn encoded_questions_are_read_back() {
        let questions =
            [Question::Name(subtype("robot/arm")), Question::All, Question::Name(subtype("Küche"))];
        let known: Vec<_> = (1..=3).map(|n| InstanceId::from_random([n; 16])).collect();
        let bytes = Question::encode(&questions, known.clone(), NETWORK_DATAGRAM_BYTES);
        assert_eq!(
            ForeignQuestions::parse(&bytes),
            Ok(ForeignQuestions { questions: questions.to_vec(), known })
        );
    }

    #[test]
    fn a_message_has_as_many_known_answers_as_fit() {
        let known = (0..2_000_u128).map(|n| InstanceId::from_random(n.to_le_bytes()));
        for bytes in [NETWORK_DATAGRAM_BYTES, LOOPBACK_DATAGRAM_BYTES] {
            let message = Question::encode(&[Question::All], known.clone(), bytes);
            let unused = bytes - message.len();
            assert!(unused < 2 * KNOWN_ANSWER_BYTES, "{unused} bytes of {bytes} are unused");
        }
        let message = Question::encode(&[Question::All], known, NETWORK_DATAGRAM_BYTES);
        let carried = ForeignQuestions::parse(&message).map(|foreign| foreign.known.len());
        assert_eq!(carried, Ok(NETWORK_KNOWN_ANSWERS));
    }

    #[test]
    fn different_names_and_meshes_have_different_subtypes() {
        let other_mesh = MeshName::new("room-7").expect("a name");
        let service = ServiceName::new("robot/arm").expect("a name");
        assert_ne!(subtype("robot/arm"), subtype("robot/leg"));
        assert_ne!(subtype("robot/arm"), Subtype::new(&other_mesh, &service));
        // Programs of other versions have to compute the same hash.
        assert_eq!(subtype("robot/arm").to_string(), "_ec7940ca6f23cbbc");
    }

    #[test]
    fn questions_about_other_services_are_ignored() {
        let mut packet = Packet::new_query(0);
        let mut ask = |name: &'static str, unicast_response| {
            let name = Name::new_unchecked(name);
            let kind = QTYPE::TYPE(TYPE::PTR);
            packet.questions.push(simple_dns::Question::new(
                name,
                kind,
                QCLASS::CLASS(CLASS::IN),
                unicast_response,
            ));
        };
        ask("_ipp._tcp.local", false);
        ask("_printer._sub._meshzero._tcp.local", false);
        // Answered by unicast to the sender only.
        ask("_meshzero._tcp.local", true);
        let bytes = packet.build_bytes_vec().expect("it encodes");
        assert_eq!(ForeignQuestions::parse(&bytes), Ok(ForeignQuestions::default()));
    }

    #[test]
    fn malformed_bytes_do_not_panic() {
        let known = (0..5).map(|n| InstanceId::from_random([n; 16]));
        let message = Question::encode(&[Question::All, Question::Name(subtype("a"))], known, 1_000);
        let mut random = fastrand::Rng::with_seed(6763);
        for _ in 0..20_000 {
            let mut bytes = message.clone();
            for _ in 0..random.usize(1..12) {
                let at = random.usize(..bytes.len());
                bytes[at] = random.u8(..);
            }
            bytes.truncate(random.usize(..=message.len()));
            // Any result is fine, as long as it returns.
            let _ = ForeignQuestions::parse(&bytes);
        }
    }
}
