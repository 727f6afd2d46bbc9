//! The salt of a session: a secret that only the TPM with the storage root key can read (part 1, 19.6
//! and annexes B.10.2, C.6.1).

use p256::elliptic_curve::PrimeField;
use p256::elliptic_curve::sec1::{FromSec1Point, ToSec1Point};
use p256::{AffinePoint, ProjectivePoint, Scalar, Sec1Point};
use zeroize::Zeroizing;

use super::bytes::Writer;
use super::hash::{Digest, kdf_e};
use super::public::Key;
use super::rsa;

/// Label of salts.
const LABEL: &str = "SECRET";

/// A salt, and its form for the TPM.
#[derive(Debug)]
pub(super) struct Salt {
    pub(super) secret: Zeroizing<Digest>,
    /// Content of a TPM2B_ENCRYPTED_SECRET.
    pub(super) encrypted: Vec<u8>,
}

/// Makes a salt for the TPM that has the private part of `key`, from random bytes. Returns `None` if
/// the key is unusable: its point is not on the curve.
pub(super) fn salt(key: &Key, random: &[Digest; 2]) -> Option<Salt> {
    match key {
        Key::Rsa { modulus, exponent } => {
            let [secret, seed] = random;
            let label = [LABEL.as_bytes(), &[0]].concat();
            let encrypted = rsa::encrypt_oaep(modulus, *exponent, &label, secret, seed)?;
            Some(Salt { secret: Zeroizing::new(*secret), encrypted })
        }
        Key::P256 { x, y } => shared(x, y, random),
    }
}

/// Makes a key pair, and derives the salt from what it and the key of the TPM share.
fn shared(x: &Digest, y: &Digest, random: &[Digest; 2]) -> Option<Salt> {
    let theirs = point(x, y)?;
    // Nearly every number of 32 bytes is a scalar.
    let scalar = random.iter().find_map(|bytes| {
        Option::<Scalar>::from(Scalar::from_repr((*bytes).into()))
            .filter(|scalar| *scalar != Scalar::ZERO)
    });
    let scalar = Zeroizing::new(scalar?);
    let (own_x, own_y) = coordinates(ProjectivePoint::GENERATOR * *scalar)?;
    let shared = Zeroizing::new(coordinates(theirs * *scalar)?);
    let secret = kdf_e(&shared.0, LABEL, &own_x, x);
    Some(Salt { secret, encrypted: Writer::default().sized(&own_x).sized(&own_y).0 })
}

fn point(x: &Digest, y: &Digest) -> Option<ProjectivePoint> {
    let point = Sec1Point::from_affine_coordinates(&(*x).into(), &(*y).into(), false);
    Option::<AffinePoint>::from(AffinePoint::from_sec1_point(&point)).map(ProjectivePoint::from)
}

fn coordinates(point: ProjectivePoint) -> Option<(Digest, Digest)> {
    let point = point.to_affine().to_sec1_point(false);
    Some(((*point.x()?).into(), (*point.y()?).into()))
}
